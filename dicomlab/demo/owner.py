"""What lives as long as the peer of an embedded PACS: its server and its folder of received instances."""

from __future__ import annotations

import shutil
import socket
import tempfile
import weakref
from pathlib import Path

from .server import DemoServer


class Owner:
    """Stops the server and removes the temporary folders, once, at the latest when Python ends.

    `also` is one more folder to remove, that of its certificates.
    """

    def __init__(self, server: DemoServer, *, temporary: bool, also: Path | None = None) -> None:
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix="dicomlab-demo-")) if temporary else None
        self._end = weakref.finalize(self, _end, server, self.folder, also)

    def stop(self) -> None:
        """End; a second call does nothing."""
        self._end()


def _end(server: DemoServer, *folders: Path | None) -> None:
    server.stop()
    for folder in folders:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
