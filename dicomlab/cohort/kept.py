"""The results of a cohort in a file as they come: a line of JSON a series, so that what ran is not run again."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ..amounts import are
from ..errors import CacheError, InvalidRequest
from ..remarks import remark
from .outcome import DONE, Outcome

KIND = "dicomlab results 1"


class Kept:
    """The file of results of one function; mode 0600, for a value may tell of a patient.

    Parameters
    ----------
    path
        Made where it is not there.
    function
        Name and digest of the function, see `fingerprint`.

    Raises
    ------
    InvalidRequest
        It is another file, of another function, or another process writes to it.
    CacheError
        It cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], function: tuple[str, str]) -> None:
        self.path = Path(path).expanduser()
        self.before: dict[str, Outcome] = {}  # by SeriesInstanceUID, those that are done
        version = platform.python_version()[:4]
        self._head = {"kind": KIND, "function": function[0], "code": function[1], "python": version}
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._file: IO[bytes] = os.fdopen(descriptor, "ab", buffering=0)
        except OSError as error:
            raise self._broken(error) from None
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def keep(self, uid: str, outcome: Outcome) -> None:
        """Write one result down; it is on the disk when this comes back."""
        self._write(
            {
                "series": uid,
                "status": outcome.status,
                "values": outcome.values,
                "error": outcome.error,
                "seconds": round(outcome.seconds, 3),
            }
        )

    def close(self) -> None:
        """Let others write to it; may be called twice."""
        self._file.close()

    def _broken(self, error: OSError) -> CacheError:
        return CacheError(
            f"the file of results {self.path.name} cannot be used ({error.strerror})",
            advice="Make room, or name another file.",
        )

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return  # a file system that has no locks
            raise InvalidRequest(
                f"another call writes to {self.path.name} now", advice="Wait for it, or name another file."
            ) from None

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise self._broken(error) from None
        head, *lines = content.split(b"\n")
        if not lines and _line(self._head).startswith(head):  # it is new, or a process was killed as it began it
            self._cut(0)
            self._write(self._head)
            return
        first = _parsed(head)
        if not lines or not isinstance(first, dict) or first.get("kind") != KIND:
            what = "is a file of results of another version" if KIND[:-1].encode() in head else "is no file of results"
            raise InvalidRequest(f"{self.path.name} {what}", advice="It is left as it is: name another.")
        self._check(first)
        bad = 0
        for line in lines[:-1]:
            found = _outcome(_parsed(line))
            bad += found is None
            if found is not None and found[1].status == DONE:
                self.before[found[0]] = found[1]
        if bad:
            remark(
                f"{bad:,} of {len(lines) - 1:,} lines of {self.path.name} {are(bad)} damaged, and "
                f"{'that' if bad == 1 else 'those'} series run{'s' if bad == 1 else ''} again",
                stacklevel=5,
            )
        if lines[-1]:  # a process was killed as it wrote
            self._cut(len(content) - len(lines[-1]))

    def _cut(self, size: int) -> None:
        try:
            self._file.truncate(size)
        except OSError as error:
            raise self._broken(error) from None

    def _check(self, head: dict[str, str]) -> None:
        ours = self._head
        same = head.get("code") == ours["code"] or head.get("python") != ours["python"]
        if head.get("function") != ours["function"] or not same:
            raise InvalidRequest(
                f"{self.path.name} has the results of {head.get('function')}"
                + (" as it was before it was changed" if head.get("function") == ours["function"] else ""),
                advice="Name another file for this function, or delete that one to have all computed anew.",
            )

    def _write(self, line: Mapping[str, object]) -> None:
        data = memoryview(_line(line))
        try:
            begun = os.fstat(self._file.fileno()).st_size
            try:
                while data:  # a disk that is nearly full may take a part
                    data = data[self._file.write(data) or 0 :]
            except OSError:
                with contextlib.suppress(CacheError):
                    self._cut(begun)
                raise
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._broken(error) from None


def _line(content: Mapping[str, object]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _outcome(line: Any) -> tuple[str, Outcome] | None:
    """The series of a line and what became of it; None where it is none."""
    try:
        values, seconds = dict(line["values"]), float(line["seconds"])
        return str(line["series"]), Outcome(str(line["status"]), values, str(line["error"]), seconds)
    except (ValueError, KeyError, TypeError):
        return None
