"""What a user of each client would write, in a process of its own: `python -m benchmarks.faultclients CLIENT ...`.

Prints one line of JSON: whether the client called it complete, what it said otherwise, how many rows it gave, and the
files that it calls instances.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

TIMEOUT = 3  # seconds, of every kind that a client knows
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{end}" for end in "123")
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"


def by_dicomlab(operation: str, port: int, back: int, folder: Path, study: str, deflated: bool) -> dict[str, Any]:
    import dicomlab as dl
    from dicomlab.cache.cache import Cache
    from dicomlab.net.association.node import Node, Quirks, Timeouts

    node = Node(
        "FAULTY",
        "127.0.0.1",
        port,
        listen=back,
        timeouts=Timeouts(TIMEOUT, TIMEOUT, TIMEOUT),
        quirks=Quirks(syntaxes=(DEFLATED if deflated else IMPLICIT,)),
    )
    said: list[str] = []
    table: Any = None
    failed = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with dl.connect(node, cache=Cache(folder / "cache", index=folder / "cache" / "index.sqlite")) as peer:
            try:
                if operation == "echo":
                    peer.echo()
                elif operation == "find":
                    table = peer.find("STUDY", PatientID="*", limit=1000)
                else:
                    table = peer.retrieve(study, method=operation, progress=False)
            except dl.errors.DicomlabError as error:
                failed, table = True, getattr(error, "instances", None)
                table = error.rows if table is None else table
                said.append(str(error))
    said += [str(one.message) for one in caught]
    files = [] if table is None or "path" not in table else table.path.tolist()
    return {"failed": failed, "said": said, "rows": 0 if table is None else len(table), "files": files}


def by_pynetdicom(operation: str, port: int, back: int, folder: Path, study: str, deflated: bool) -> dict[str, Any]:
    from pydicom.dataset import Dataset
    from pynetdicom import AE, build_role, evt

    said: list[str] = []
    files: list[str] = []

    def keep(event: Any) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        path = folder / f"{dataset.SOPInstanceUID}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(str(path))
        return 0x0000

    ae = AE("DICOMLAB")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT
    model = {"echo": "1.2.840.10008.1.1", "find": FIND, "get": GET, "move": MOVE}[operation]
    ae.add_requested_context(model)
    roles, handlers, server = [], [(evt.EVT_C_STORE, keep)], None
    syntax = DEFLATED if deflated else IMPLICIT
    if operation == "get":
        ae.add_requested_context(CT, syntax)
        roles = [build_role(CT, scp_role=True)]
    if operation == "move":
        ae.add_supported_context(CT, syntax)
        server = ae.start_server(("127.0.0.1", back), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID, identifier.StudyInstanceUID = ("*", "") if operation == "find" else ("", study)
    rows = 0
    association = ae.associate("127.0.0.1", port, ae_title="FAULTY", ext_neg=roles, evt_handlers=handlers)  # type: ignore[arg-type]
    if not association.is_established:
        return {"failed": True, "said": ["the association was not established"], "rows": 0, "files": files}
    status: Any = None
    if operation == "echo":
        status = association.send_c_echo()
    else:
        send = {"find": association.send_c_find, "get": association.send_c_get}.get(operation)
        answers = send(identifier, model) if send else association.send_c_move(identifier, "DICOMLAB", model)
        for status, found in answers:
            rows += operation == "find" and found is not None and status.Status in (0xFF00, 0xFF01)
    failed = not status or status.Status not in (0x0000, 0xB000)
    if failed:
        said.append(f"status {status.Status:#06x}" if status else "no status: timed out, aborted or invalid response")
    elif status.Status:
        said.append(f"status {status.Status:#06x}")
    association.release()
    if server is not None:
        server.shutdown()
    return {"failed": failed, "said": said, "rows": rows if operation == "find" else len(files), "files": files}


def by_dcmtk(operation: str, port: int, back: int, folder: Path, study: str, deflated: bool) -> dict[str, Any]:
    times = ["-to", str(TIMEOUT), "-ta", str(TIMEOUT), "-td", str(TIMEOUT)]
    who = ["-aet", "DICOMLAB", "-aec", "FAULTY"]
    where = ["127.0.0.1", str(port)]
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY"]
    one = [*keys, "-k", f"StudyInstanceUID={study}"]
    into = ["-od", str(folder)]
    commands = {
        "echo": ["echoscu", *times, *who, *where],
        "find": ["findscu", *times, *who, *keys, "-k", "PatientID=*", "-k", "StudyInstanceUID", "-X", *into, *where],
        "get": ["getscu", *times, *who, *one, "-xd" if deflated else "-xi", *into, *where],
        "move": ["movescu", *times, *who, *one, "-aem", "DICOMLAB", "+P", str(back), *into, *where],
    }
    done = subprocess.run(commands[operation], capture_output=True, text=True, errors="replace", cwd=folder)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:", "F:"))]
    files = sorted(str(path) for path in folder.iterdir())
    failed = done.returncode != 0
    return {"failed": failed, "said": said or ([f"exit code {done.returncode}"] if failed else []), "rows": len(files),
            "files": [] if operation == "find" else files}  # fmt: skip


CLIENTS = {"dicomlab": by_dicomlab, "pynetdicom": by_pynetdicom, "DCMTK": by_dcmtk}


def main(client: str, operation: str, port: str, back: str, folder: str, study: str, deflated: str) -> None:
    died: list[str] = []
    threading.excepthook = lambda found: died.append(f"{found.exc_type.__name__}: {found.exc_value}")
    try:
        result = CLIENTS[client](operation, int(port), int(back), Path(folder), study, deflated == "deflated")
    except Exception as error:
        result = {"failed": True, "said": [f"{type(error).__name__}: {error}"], "rows": 0, "files": [], "raised": True}
    print(json.dumps({**result, "died": died}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
