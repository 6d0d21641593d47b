"""The scripted faults, each met by three clients: `python -m benchmarks.faults [NAME ...]` prints who survives what.

The faulty server is not part of this project; it is looked for beside it. Each client runs in a process of its own,
and what it left is judged by a few rules, the same for all:

- HANG: not back within 15 s. NOEXIT: the result is there, and the process does not end within 2 s.
- LOST: it says that all is well, and it is not; or rows and instances that came whole are not given.
- GHOST: more rows or instances than there are, or one of another study.
- DAMAGED: a file that it calls an instance cannot be read, or its pixels are not all there.
- ESCAPE: a file outside its folder. THREAD: an exception in a thread, which nobody sees.
- MUTE: nothing is said where something is due. WRONG: an error, though all is there and well.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .faultclients import CLIENTS
from .harness import LeftOut

ROOT = Path(__file__).resolve().parents[1]
SERVER = ROOT.parent / "shared" / "faults"
LIMIT = 15.0  # seconds
FINE, WORD, ERROR, EITHER = "fine", "word", "error", "either"  # what is due: no error; a warning; an error; any
SURVIVED = "ok"

#: What a good client gives and says: rows or instances, and of which kind its words are.
DUE: dict[str, tuple[int, str]] = {
    "none": (5, FINE), "idle_close": (0, FINE), "release_silent": (0, FINE), "release_collision": (0, FINE),
    "get_no_role": (5, EITHER), "move_success_early": (5, FINE), "move_no_pending": (5, FINE),
    "move_assoc_per_instance": (5, FINE), "no_final_response": (5, WORD), "duplicate_differs": (5, WORD),
    "uid_too_long": (5, WORD), "uid_mismatch": (5, WORD), "xss_identifier": (1, FINE),
    "pending_no_identifier": (1, WORD), "garbage_identifier": (1, WORD), "latin1_no_charset": (1, WORD),
    "bad_vr_identifier": (1, WORD), "abort_mid_find": (2, ERROR), "slowloris_pdu": (0, EITHER),
    "pending_forever": (1, WORD), "abort_mid_get": (2, ERROR), "rst_mid_dataset": (2, ERROR),
    "release_mid_get": (2, ERROR), "count_lies": (3, ERROR), "b000_with_list": (3, WORD), "other_study": (4, WORD),
    "dataset_truncated": (4, WORD), "dataset_empty": (4, WORD), "fragments_out_of_order": (2, ERROR),
    "ts_mismatch": (4, WORD), "deep_nesting": (4, WORD), "deflate_bomb": (4, WORD), "uid_traversal": (4, WORD),
    "uid_dotdot": (4, WORD), "move_store_abort": (2, WORD),
}  # fmt: skip


def server() -> ModuleType:
    """The faulty server, of the folder beside the project."""
    if not (SERVER / "faulty_scp.py").is_file():
        raise LeftOut(f"{SERVER} with the faulty server is not beside this project")
    sys.path.insert(0, str(SERVER))
    try:
        return import_module("faulty_scp")
    finally:
        sys.path.remove(str(SERVER))


def meet(scripted: ModuleType, fault: str, client: str) -> tuple[str, str]:
    """The verdict, and what the client said."""
    with tempfile.TemporaryDirectory() as place, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        back = probe.getsockname()[1]
        probe.close()
        folder = Path(place, "here")
        folder.mkdir()
        with scripted.FaultySCP(fault, hold=40, move_port=back) as scp:
            operation = scripted.FAULTS[fault].op
            deflated = "deflated" if fault == "deflate_bomb" else "plain"
            words = [client, operation, str(scp.port), str(back), str(folder), scripted.STUDY, deflated]
            found, late = _run([sys.executable, "-m", "benchmarks.faultclients", *words])
            if found is None:
                return "HANG", ""
            said = " ".join(found["said"])
            return _judge(scripted, fault, operation, found, late, Path(place), set(scp.acknowledged)), said


def _run(command: Sequence[str]) -> tuple[dict[str, Any] | None, bool]:
    """What it printed, None where it did not come back; and whether the process went on afterwards."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdout is not None
    until = time.monotonic() + LIMIT + 2  # two for the start of Python
    os.set_blocking(process.stdout.fileno(), False)
    data = b""
    try:
        while b"\n" not in data and time.monotonic() < until:
            data += process.stdout.read() or b""
            if process.poll() is not None:
                data += process.stdout.read() or b""
                break
            time.sleep(0.02)
        if b"\n" not in data:
            return None, False
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            return json.loads(data), True
        return json.loads(data), False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()


def _judge(
    scripted: ModuleType,
    fault: str,
    operation: str,
    found: dict[str, Any],
    late: bool,
    place: Path,
    acknowledged: set[str],
) -> str:
    due, kind = DUE.get(fault, (0, ERROR))
    whole, damaged, strangers = _instances(found["files"], scripted.STUDY)
    given = found["rows"] if operation == "find" else len(whole)
    silent = not found["failed"] and not found["said"]
    unknown = kind == EITHER or fault == "pending_forever"
    rules = {
        "ESCAPE": any(one != place / "here" for one in place.iterdir()),
        "THREAD": bool(found["died"]),
        "DAMAGED": damaged,
        "GHOST": strangers or (given > due and not unknown and (fault in DUE or silent)),
        "LOST": (given < due and not (unknown and not silent))
        or (kind == ERROR and silent)
        or (operation in ("get", "move") and not silent and len(acknowledged & _names(scripted)) > len(whole)),
        "MUTE": kind == WORD and silent,
        "WRONG": kind == FINE and found["failed"],
        "NOEXIT": late,
    }
    return " ".join(rule for rule, broken in rules.items() if broken) or SURVIVED


def _names(scripted: ModuleType) -> set[str]:
    return {f"{scripted.STUDY}.1.{number}" for number in range(1, 6)}


def _instances(files: Sequence[str], study: str) -> tuple[set[str], bool, bool]:
    """SOP Instance UIDs of the whole ones; whether there are damaged ones, and some of another study."""
    from pydicom import dcmread

    whole: set[str] = set()
    damaged = stranger = False
    for path in files:
        try:
            dataset = dcmread(path)
            if len(dataset.PixelData) != 2 * dataset.Rows * dataset.Columns:
                raise ValueError("short")
            stranger |= dataset.StudyInstanceUID != study
            whole.add(str(dataset.SOPInstanceUID))
        except Exception:
            damaged = True
    return whole, damaged, stranger


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.split("\n")[0])
    parser.add_argument("faults", nargs="*", help="names; default all")
    parser.add_argument("--clients", nargs="*", default=list(CLIENTS), choices=list(CLIENTS))
    parser.add_argument("--said", action="store_true", help="show what each client said")
    parser.add_argument("--markdown", type=Path, help="file to write the table to")
    chosen = parser.parse_args()
    try:
        scripted = server()
    except LeftOut as reason:
        sys.exit(f"left out: {reason}")
    lines = ["| fault | " + " | ".join(chosen.clients) + " |", "|---" * (1 + len(chosen.clients)) + "|"]
    print(*lines, sep="\n")
    survived = dict.fromkeys(chosen.clients, 0)
    names = chosen.faults or list(scripted.FAULTS)
    for fault in names:
        verdicts = []
        for client in chosen.clients:
            verdict, said = meet(scripted, fault, client)
            survived[client] += verdict == SURVIVED
            verdicts.append(verdict)
            if chosen.said:
                print(f"    {client}: {said[:300]}", file=sys.stderr)
        lines.append(f"| {fault} | " + " | ".join(verdicts) + " |")
        print(lines[-1], flush=True)
    lines.append(f"| **survived of {len(names)}** | " + " | ".join(f"**{survived[one]}**" for one in survived) + " |")
    print(lines[-1])
    if chosen.markdown:
        head = f"# Faults\n\n{__doc__.strip()}\n\n`make faults` writes this table.\n\n"
        chosen.markdown.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
