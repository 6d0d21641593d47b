"""Whose a temporary file is: its name says the host and process, so that what a killed one left can be told."""

from __future__ import annotations

import os
import socket
import sys
import time
from hashlib import blake2b
from typing import Final

OLD: Final = 7 * 86400  # seconds after which nothing is taken to be in use


def owner() -> str:
    """The beginning of a name that says that it is of this process: ``host-process-random``."""
    return f"{host()}-{os.getpid()}-{os.urandom(4).hex()}"


def abandoned(name: str, since: float) -> bool:
    """Whether the process whose `owner` a name begins with is gone.

    Parameters
    ----------
    since
        When the file was touched last, in seconds of the epoch: what belongs to a process that cannot be asked, of
        another host or on Windows, is given up after a week.

    Examples
    --------
    >>> abandoned(f"{owner()}-1.part", time.time())
    False
    """
    whose, _, rest = name.partition("-")
    process = rest.partition("-")[0]
    if not process.isdigit():
        return False
    if whose == host() and sys.platform != "win32":
        return not _alive(int(process))
    return time.time() - since > OLD


def host() -> str:
    """A name of this host for names of files."""
    return blake2b(socket.gethostname().encode(errors="replace"), digest_size=4).hexdigest()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
