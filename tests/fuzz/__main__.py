"""Fuzz one reader with atheris: ``PYTHONPATH=tests python -m fuzz TARGET --seconds 300 --findings FOLDER``.

Inputs that raise what no reader may raise are kept in the folder, one for each place that raises, and the run goes on.
At the end a line of JSON, also in TARGET.json there, says how many runs there were, in how many seconds, and what was
found. An input that takes more than 10 s or 512 MiB ends the run at once (B8).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

LARGEST = 65_536  # bytes of an input
SLOWEST = 10  # seconds for one input (B8)
MEMORY = 512  # MiB (B8)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=["pdu", "command", "elements", "file", "dicomdir"])
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, help="where inputs that reach something new are kept from run to run")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    asked = parser.parse_args()

    import atheris

    with atheris.instrument_imports(include=["dicomlab", "pynetdicom.pdu", "pynetdicom.pdu_items"]):
        from fuzz.targets import TARGETS, forget

    target = TARGETS[asked.target]
    asked.findings.mkdir(parents=True, exist_ok=True)
    corpus = asked.corpus or Path(tempfile.mkdtemp(prefix=f"corpus-{target.name}-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    runs, began, found = 0, time.monotonic(), dict[str, str]()

    def one(data: bytes) -> None:
        nonlocal runs
        if time.monotonic() - began > asked.seconds:
            finish()
        runs += 1
        try:
            target.run(data)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            if place not in found:
                name = f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
                found[place] = name
                (asked.findings / name).write_bytes(data)
                print(f"finding {name}: {place}: {error}", file=sys.stderr)

    def finish() -> None:
        said = {"target": target.name, "runs": runs, "seconds": round(time.monotonic() - began), "findings": found}
        (asked.findings / f"{target.name}.json").write_text(json.dumps(said))
        print(json.dumps(said), flush=True)
        if asked.corpus is None:
            shutil.rmtree(corpus, ignore_errors=True)
        forget()
        os._exit(0)  # the fuzzer knows no other end of ours

    options = [
        f"-max_len={LARGEST}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={asked.findings}/{target.name}-",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


main()
