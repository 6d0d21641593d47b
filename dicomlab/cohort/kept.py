"""The results of a cohort in a file as they come: a line of JSON a series, so that what ran is not run again."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..errors import CacheError, InvalidRequest
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
        except OSError:
            raise InvalidRequest(
                f"another call writes to {self.path.name} now", advice="Wait for it, or name another file."
            ) from None

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise self._broken(error) from None
        if not content:
            self._write(self._head)
            return
        whole = content.rfind(b"\n") + 1
        try:
            head, *lines = map(json.loads, content[:whole].splitlines() or [b"0"])
            if not isinstance(head, dict) or head.get("kind") != KIND:
                raise self._other()
            self._check(head)
            for line in lines:
                one = Outcome(line["status"], dict(line["values"]), line["error"], line["seconds"])
                if one.status == DONE:
                    self.before[line["series"]] = one
        except InvalidRequest:
            raise
        except (ValueError, KeyError, TypeError):
            raise self._other() from None
        if whole < len(content):  # a process was killed as it wrote
            try:
                os.truncate(self.path, whole)
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

    def _other(self) -> InvalidRequest:
        return InvalidRequest(f"{self.path.name} is no file of results", advice="It is left as it is: name another.")

    def _write(self, line: Mapping[str, object]) -> None:
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._broken(error) from None
