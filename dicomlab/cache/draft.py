"""A file of the cache while it is written: whole and named by somebody else, or gone."""

from __future__ import annotations

import os
from contextlib import suppress

WRITE = 1 << 15  # bytes of one write: for large ones the system looks for large pages, several times as dear
#: How a file is made that nobody else has.
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Draft:
    """A temporary file of the cache: open, written, closed, then given a name by `CacheFolder.settle`.

    `discard` removes it whatever became of it; a name that it was given stays.
    """

    def __init__(self, path: str, start: int) -> None:
        self.path, self.handle, self.start = path, -1, start
        self.modified = 0  # st_mtime_ns, once closed
        self.size = 0  # bytes of the file, once closed
        self._began = False
        try:
            self.handle = os.open(path, NEW_FILE, 0o600)
        except OSError:
            self.path = ""
            raise
        except BaseException:  # Ctrl-C while it was made
            self.discard()
            raise

    def write(self, data: memoryview, head: bytes = b"") -> None:
        """Write the next part of the data set; with the head before it where it is known already."""
        done = 0
        if not self._began:
            self._began = True
            if not head:
                os.lseek(self.handle, self.start, os.SEEK_SET)
            elif hasattr(os, "writev"):
                done = os.writev(self.handle, (head, data[:WRITE]))
            while done < len(head):
                done += os.write(self.handle, head[done:])
            done -= len(head)
        while done < len(data):
            done += os.write(self.handle, data[done : done + WRITE])

    def close(self, head: bytes = b"") -> None:
        """Write the head where that is still to be done, and close the file."""
        if head:  # last, so that a file without it is no DICOM
            os.lseek(self.handle, 0, os.SEEK_SET)
            done = 0
            while done < len(head):
                done += os.write(self.handle, head[done:])
        status = os.fstat(self.handle)
        self.modified, self.size = status.st_mtime_ns, status.st_size
        self._close()

    def _close(self) -> None:
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        self.discard()

    def discard(self) -> None:
        """Close and remove the temporary file; may be called twice."""
        if self.path:
            try:
                with suppress(OSError):
                    self._close()
            finally:  # Ctrl-C while it was closed
                with suppress(OSError):
                    os.unlink(self.path)
                self.path = ""
