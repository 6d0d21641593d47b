"""P2: C-MOVE of 500 CT slices from Orthanc to ourselves, into files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from . import data, peers
from .harness import Row, Timed, Way
from .p1_get import CT_STORAGE, SERIES, peer

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"  # Study Root Query/Retrieve - MOVE


@contextmanager
def prepare() -> Iterator[list[Way]]:
    back = {title: peers.free_port() for title in ("DICOMLAB", "STORESCP", "PYNETDICOM")}
    ours, theirs, python = back.values()
    with peers.orthanc("ct", data.ct(), data.SLICES, back) as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port, ours)),
            Way(
                "DCMTK storescp +B, TCP_NODELAY", lambda timed: by_storescp(timed, port, theirs, peers.NO_DELAY), mark=2
            ),
            Way("pynetdicom", lambda timed: by_pynetdicom(timed, port, python), mark=5),
            Way(
                "DCMTK storescp as it comes",
                lambda timed: by_storescp(timed, port, theirs, peers.AS_IT_COMES),
                once=True,
            ),
        ]


def by_dicomlab(timed: Timed, port: int, back: int) -> None:
    with peer(timed.folder, "ORTHANC", port, back) as archive, timed:
        instances = archive.retrieve(SERIES, method="move", progress=False)
    assert len(instances) == data.SLICES
    data.check(timed.folder)


def by_storescp(timed: Timed, port: int, back: int, env: Mapping[str, str]) -> None:
    """The server is started before, and its CPU time counted."""
    keys = {"QueryRetrieveLevel": "SERIES", **SERIES}
    words = [part for key, value in keys.items() for part in ("-k", f"{key}={value}")]
    server = ("storescp", "+B", "-pdu", "131072", "-od", timed.folder, str(back))
    with peers.running("STORESCP", back, *server, env=env) as process:
        with timed:
            options = ("-S", "-aet", "DICOMLAB", "-aec", "ORTHANC", "-aem", "STORESCP")
            peers.call("movescu", *options, *words, peers.HOST, str(port), env=env)
        with timed.children():
            peers.end(process)
    data.check(timed.folder)


def by_pynetdicom(timed: Timed, port: int, back: int) -> None:
    """Into files as received: nothing is decoded."""
    from pynetdicom import AE, evt

    def keep(event: Any) -> int:
        Path(timed.folder, event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE("PYNETDICOM")
    ae.maximum_pdu_size = 0
    ae.add_supported_context(CT_STORAGE, "1.2.840.10008.1.2.1")
    ae.add_requested_context(MOVE)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = data.STUDY, data.SERIES
    server: Any = ae.start_server((peers.HOST, back), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        with timed:
            association = ae.associate(peers.HOST, port, ae_title="ORTHANC")
            *_, (status, _) = association.send_c_move(identifier, "PYNETDICOM", MOVE)
            association.release()
    finally:
        server.shutdown()
    assert status.Status == 0x0000, status
    data.check(timed.folder)


ROW = Row("P2", "C-MOVE of 500 CT slices from Orthanc to ourselves, into the cache", prepare, memory=700)
