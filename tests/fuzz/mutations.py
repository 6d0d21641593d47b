"""Valid inputs damaged at random, always in the same way: ``python -m fuzz.mutations TARGET COUNT``.

Prints one line of JSON: how many were run, the slowest of them in seconds of the processor, how much memory the process
took beyond what it had before (KiB), and what was found: number of the mutation, and the exception.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

FIELDS = (b"\xff\xff\xff\xff", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0")
LARGEST = 1 << 20  # bytes of an input


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """One of the seeds with one to eight changes; the same for the same number."""
    chance = random.Random(number)
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice([1, 1, 2, 3, 5, 8])):
        _change(chance, data, seeds)
    return bytes(data[:LARGEST])


def _change(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1) if chance.random() < 0.4 else chance.randrange(min(len(data), 600) + 1)
    size = chance.choice([1, 2, 4, 8, 64])
    match chance.randrange(9):
        case 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        case 1 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 2:
            field = chance.choice(FIELDS)
            data[at : at + len(field)] = field
        case 3:
            del data[at : at + size]
        case 4:
            data[at:at] = chance.randbytes(size)
        case 5:  # a length of little or big endian that is nearly right
            value = int.from_bytes(data[at : at + 2], "little") + chance.choice([-2, -1, 1, 2, 8])
            data[at : at + 2] = (value % 65_536).to_bytes(2, "little")
        case 6:
            data[at:at] = data[at : at + chance.choice([8, 100, 1_000])] * chance.choice([1, 2, 50])
        case 7:
            other = chance.choice(seeds)
            start = chance.randrange(len(other))
            data[at:] = other[start:]
        case _:
            del data[at:]


def main(name: str, count: int) -> None:
    from fuzz.targets import TARGETS

    target = TARGETS[name]
    seeds = target.seeds()
    for seed in seeds:
        target.run(seed)
    before, slowest, found = _peak(), 0.0, []
    for number in range(count):
        data = mutated(seeds, number)
        began = time.process_time()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")  # what a library warns of is a finding too: it shows text of the peer's
            try:
                target.run(data)
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                found.append([number, f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"])
        found += [[number, f"{one.filename}:{one.lineno}: {one.message}"] for one in said]
        slowest = max(slowest, time.process_time() - began)
    print(json.dumps({"runs": count, "slowest": slowest, "grown": _peak() - before, "found": found[:20]}))


def _peak() -> int:
    """The most memory that this process held, in KiB; not getrusage's, which is at least what the parent held."""
    status = Path("/proc/self/status")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) if status.exists() else 0  # type: ignore[index]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
