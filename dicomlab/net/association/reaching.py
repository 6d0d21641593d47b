"""From a host name to a connected socket, within a deadline that also holds while a name server is silent (R1.4)."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from typing import Any

from .deadline import Cancelled, Deadline
from .forking import owned
from .ticking import TICK

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}

#: Family, kind, protocol, "" and address, as `socket.getaddrinfo` gives them.
Found = tuple[int, int, int, str, tuple[Any, ...]]


def resolve(host: str, port: int, deadline: Deadline) -> list[Found]:
    """The addresses of a host; the name is looked up in a thread, for the system lets nobody interrupt it.

    Raises
    ------
    OSError
        It is not known; TimeoutError where nobody said so within the deadline.
    Cancelled
    """
    ended: list[Any] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            ended.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # raised to the caller
            ended.append(error if isinstance(error, OSError) else OSError(str(error)))
        done.set()

    threading.Thread(target=look_up, name="name lookup", daemon=True).start()
    while not done.wait(_tick(deadline)):
        pass
    if isinstance(ended[0], OSError):
        raise ended[0]
    return ended[0]


def reached(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address of a host that takes one; each has its share of the time.

    Raises
    ------
    OSError
        None does; TimeoutError where nothing answered within the deadline.
    Cancelled
    """
    trouble: OSError | None = None
    found = resolve(host, port, deadline)
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = owned(socket.socket(family, kind, protocol))
        try:
            share = Deadline(max(0.0, deadline.remaining) / (len(found) - number))
            _connect(sock, address, deadline, share)
            return sock
        except OSError as error:
            trouble = error
            sock.close()
        except BaseException:  # Ctrl-C keeps no socket open
            sock.close()
            raise
    raise trouble or OSError(f"{host!r} has no address")


def _connect(sock: socket.socket, address: tuple[Any, ...], deadline: Deadline, share: Deadline) -> None:
    sock.setblocking(False)
    error = sock.connect_ex(address)
    if error in _UNDER_WAY:
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_WRITE)
            while not selector.select(min(_tick(deadline), _tick(share))):
                pass
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _tick(deadline: Deadline) -> float:
    """Seconds until the deadline is to be looked at again."""
    if deadline.stopped:
        raise Cancelled
    left = deadline.remaining
    if left <= 0:
        raise TimeoutError("nothing answered in time")
    return min(left, TICK)
