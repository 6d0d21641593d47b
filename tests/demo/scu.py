"""A requestor that is not ours (pynetdicom's), to ask the embedded PACS with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association

PATIENT, STUDY, PATIENT_STUDY = (f"1.2.840.10008.5.1.4.1.2.{number}." for number in (1, 2, 3))
CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1")  # MR CT CR
PREFIX = "1.3.6.1.4.1.5962.1.1.0.0.0."
ST = PREFIX + "1196533885.18148.0.1"
PETER = "98890234"


def identifier(level: str | None, **keys: Any) -> Dataset:
    found = Dataset()
    if level is not None:
        found.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(found, keyword, value)
    return found


@contextmanager
def associated(
    server: Any,
    *classes: str,
    calling: str = "DICOMLAB",
    called: str | None = None,
    storage: Sequence[str] = (),
    received: list[Dataset] | None = None,
    status: int = 0,
    ext_neg: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """An association; `storage` classes are proposed with role SCP, what comes goes into `received`."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10

    def store(event: Any) -> int:
        if received is not None:
            received.append(event.dataset)
        return status

    contexts = [build_context(name) for name in (*classes, *storage)]
    association = ae.associate(
        server.host,
        server.port,
        contexts=contexts,
        ae_title=called or server.ae_title,
        ext_neg=[*(build_role(name, scp_role=True) for name in storage), *ext_neg],
        evt_handlers=[(evt.EVT_C_STORE, store), *handlers],
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def find(server: Any, level: str | None, model: str = STUDY, **keys: Any) -> tuple[list[Dataset], int]:
    """The matches and the final status."""
    rows, final = [], -1
    with associated(server, model + "1") as association:
        for status, row in association.send_c_find(identifier(level, **keys), model + "1"):
            final = int(status.Status)
            if row is not None:
                rows.append(row)
    return rows, final


def get(
    server: Any, level: str, *, storage: Sequence[str] = CLASSES, status: int = 0, model: str = STUDY, **keys: Any
) -> tuple[list[Dataset], Dataset, list[Dataset]]:
    """What arrived, the final response, all responses."""
    received: list[Dataset] = []
    with associated(server, model + "3", storage=storage, received=received, status=status) as association:
        answers = list(association.send_c_get(identifier(level, **keys), model + "3"))
    final, failed = answers[-1]
    if failed is not None and "FailedSOPInstanceUIDList" in failed:
        final.FailedSOPInstanceUIDList = failed.FailedSOPInstanceUIDList
    return received, final, [each for each, _ in answers]
