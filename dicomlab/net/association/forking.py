"""A forked child owns no connection and no port of its parent, and waits for none of its calls."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Callable

_owned: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def owned(sock: socket.socket) -> socket.socket:
    """That socket, which a forked child closes: else it would keep the port, and the peer would see no end."""
    _owned.add(sock)
    return sock


def in_child(function: Callable[[], object]) -> None:
    """Have a function called in every forked child."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _close() -> None:
    for sock in list(_owned):
        with contextlib.suppress(OSError):
            sock.close()


in_child(_close)
