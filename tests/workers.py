"""Processes that retrieve and may be killed: each is forked by one that has imported everything already.

``python workers.py ROOT`` reads lines "PORT LISTEN FOLDER METHOD FIRST STOP" (STOP 0: the whole study), and prints
"pid N", "result {...}" where the retrieve ended by itself, and "status N".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]) / "tests")]


def retrieve(port: str, listen: str, folder: str, method: str, first: str, stop: str) -> dict[str, Any]:
    import pandas as pd
    from slow_scp import SERIES, STUDY, uid

    import dicomlab as dl
    from dicomlab.cache.cache import Cache
    from dicomlab.net.association.node import Node

    node = Node("SLOW", "127.0.0.1", int(port), listen=int(listen))
    what: Any = STUDY.decode()
    if int(stop):
        uids = [uid(number).decode() for number in range(int(first), int(stop))]
        what = pd.DataFrame({"SOPInstanceUID": uids})
        what["StudyInstanceUID"], what["SeriesInstanceUID"] = STUDY.decode(), SERIES.decode()
    with dl.connect(node, cache=Cache(f"{folder}/cache", index=f"{folder}/index.sqlite"), timeout=30) as slow:
        got = slow.retrieve(what, method=method, progress=False)
        slow.cache.close()
    return {"rows": len(got), "complete": got.attrs["complete"], "fetched": got.attrs["fetched"]}


class Worker:
    """One such process, from this one."""

    def __init__(self) -> None:
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self, *order: object) -> int:
        """Begin a retrieve; gives the process id to kill."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, order)) + "\n")
        self._process.stdin.flush()
        return int(self._line().removeprefix("pid "))

    def result(self) -> dict[str, Any] | None:
        """What became of it; None if it was killed."""
        line, found = self._line(), None
        if line.startswith("result "):
            found = json.loads(line.removeprefix("result "))
            line = self._line()
        assert line in ("status 0", "status 9"), line
        return found

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()


def main() -> None:
    import slow_scp  # noqa: F401

    import dicomlab.net.retrieve.retrieve  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        told, telling = os.pipe()
        process = os.fork()
        if process:
            os.close(telling)
            print(f"pid {process}", flush=True)
            _, status = os.waitpid(process, 0)
            with open(told) as result:
                print(result.read() + f"status {status}", flush=True)
            continue
        os.close(told)
        result = json.dumps(retrieve(*line.split()))
        os.write(telling, f"result {result}\n".encode())
        os._exit(0)


if __name__ == "__main__":
    main()
