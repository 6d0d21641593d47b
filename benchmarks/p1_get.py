"""P1: C-GET of 500 CT slices from Orthanc into files; dicomlab's time holds its queries, its checks and its cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from . import data, least, peers
from .harness import Row, Timed, Way
from .least import CT_STORAGE as CT_STORAGE
from .least import GET

if TYPE_CHECKING:
    import ssl

    import dicomlab as dl

SERIES = {"StudyInstanceUID": data.STUDY, "SeriesInstanceUID": data.SERIES}


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.orthanc("ct", data.ct(), data.SLICES) as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, "ORTHANC", port)),
            Way("DCMTK getscu +B, TCP_NODELAY", lambda timed: by_getscu(timed, port, peers.NO_DELAY), mark=2),
            Way("pynetdicom", lambda timed: by_pynetdicom(timed, "ORTHANC", port), mark=6),
            Way("received and let go by", lambda timed: least.get(timed, "ORTHANC", port, least.let_go)),
            Way("received and written", lambda timed: least.get(timed, "ORTHANC", port, least.write)),
            Way("DCMTK getscu as it comes", lambda timed: by_getscu(timed, port, peers.AS_IT_COMES), once=True),
        ]


def by_dicomlab(timed: Timed, ae_title: str, port: int, tls: dl.TLS | None = None) -> None:
    with peer(timed.folder, ae_title, port, tls=tls) as archive, timed:
        instances = archive.retrieve(SERIES, method="get", progress=False)
    assert len(instances) == data.SLICES
    data.check(timed.folder)


def peer(folder: Path, ae_title: str, port: int, listen: int | None = None, tls: dl.TLS | None = None) -> dl.Peer:
    """The archive, with a cache of its own that is empty."""
    import dicomlab as dl
    from dicomlab.cache.cache import Cache

    cache = Cache(folder / "cache", index=folder / "index.sqlite")
    return dl.connect(f"{ae_title}@{peers.HOST}:{port}", cache=cache, listen=listen, tls=tls)


def by_getscu(timed: Timed, port: int, env: Mapping[str, str]) -> None:
    with timed:
        getscu(timed.folder, port, env)
    data.check(timed.folder)


def getscu(folder: Path, port: int, env: Mapping[str, str]) -> None:
    """Into files as received (+B)."""
    keys = {"QueryRetrieveLevel": "SERIES", **SERIES}
    words = [part for key, value in keys.items() for part in ("-k", f"{key}={value}")]
    options = ("-S", "+B", "-pdu", "131072", "-aet", "DICOMLAB", "-aec", "ORTHANC", "-od", folder)
    peers.call("getscu", *options, *words, peers.HOST, str(port), env=env)


def by_pynetdicom(timed: Timed, ae_title: str, port: int, context: ssl.SSLContext | None = None) -> None:
    """Into files as received: nothing is decoded."""

    def keep(event: Any) -> int:
        Path(timed.folder, event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
        return 0x0000

    with timed:
        pynetdicom(ae_title, port, keep, context)
    data.check(timed.folder)


def pynetdicom(ae_title: str, port: int, keep: Any, context: ssl.SSLContext | None = None) -> None:
    from pynetdicom import AE, build_role, evt

    ae = AE("DICOMLAB")
    ae.add_requested_context(GET)
    ae.add_requested_context(CT_STORAGE, "1.2.840.10008.1.2.1")
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = data.STUDY, data.SERIES
    association = ae.associate(
        peers.HOST,
        port,
        ae_title=ae_title,
        ext_neg=[build_role(CT_STORAGE, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
        max_pdu=0,
        tls_args=(context, "localhost") if context else None,
    )
    *_, (status, _) = association.send_c_get(identifier, GET)
    association.release()
    assert status.Status == 0x0000, status


ROW = Row("P1", "C-GET of 500 CT slices, 263 MB, from Orthanc into the cache", prepare, memory=700)
