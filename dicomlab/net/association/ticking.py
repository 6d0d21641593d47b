"""A socket that returns at least every quarter of a second, so that deadlines and the abort flag are looked at."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

TICK = 0.25  # seconds between two looks at deadline and abort flag


def tick(sock: socket.socket) -> bool:
    """Have calls on a connected socket end after TICK; whether the kernel does so, and MSG_WAITALL stays whole."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "win32" or not hasattr(sock, "recvmsg_into"):
        sock.settimeout(TICK)
        return False
    sock.settimeout(None)
    interval = struct.pack("@ll", 0, int(TICK * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
    return True
