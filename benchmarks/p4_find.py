"""P4: a query with 10,000 matches of 16 attributes, as a typed DataFrame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from pydicom.dataset import Dataset

from . import data, least, peers
from .harness import Row, Timed, Way
from .least import FIND

#: What every way asks for; with RetrieveAETitle, which comes of itself, and the level, 16 attributes.
KEYS = data.words("""
    StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName StudyDescription
    PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID NumberOfStudyRelatedSeries
    NumberOfStudyRelatedInstances""")


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.canned() as port:
        yield ways("CANNED", port, dcmtk=4, python=40)


def ways(ae_title: str, port: int, *, dcmtk: float, python: float) -> list[Way]:
    """The same for each server that is asked."""
    return [
        Way("dicomlab", lambda timed: by_dicomlab(timed, ae_title, port)),
        Way("DCMTK findscu -Xs (no table)", lambda timed: by_findscu(timed, ae_title, port), mark=dcmtk),
        Way("pynetdicom, DataFrame of str", lambda timed: by_pynetdicom(timed, ae_title, port), mark=python),
        Way("received and not looked at", lambda timed: least.find(timed, ae_title, port, KEYS)),
    ]


def by_dicomlab(timed: Timed, ae_title: str, port: int) -> None:
    import dicomlab as dl

    with dl.connect(f"{ae_title}@{peers.HOST}:{port}", cache=timed.folder) as peer, timed:
        keys: dict[str, Any] = dict.fromkeys(KEYS, "")
        frame = peer.find("STUDY", limit=2 * data.STUDIES, **keys)
    assert pd.api.types.is_datetime64_dtype(frame.StudyDate)
    check(frame)


def by_findscu(timed: Timed, ae_title: str, port: int) -> None:
    program = peers.program("findscu")
    keys = [part for key in ("QueryRetrieveLevel=STUDY", *KEYS) for part in ("-k", key)]
    with timed:
        peers.call(
            program,
            "-S",
            "-aet",
            "DICOMLAB",
            "-aec",
            ae_title,
            "-Xs",
            "all.xml",
            *keys,
            peers.HOST,
            str(port),
            cwd=timed.folder,
        )
    found = Path(timed.folder, "all.xml").read_bytes().count(b"<data-set ")
    assert found == data.STUDIES, f"{found} matches"


def by_pynetdicom(timed: Timed, ae_title: str, port: int) -> None:
    from pynetdicom import AE, _config

    _config.LOG_RESPONSE_IDENTIFIERS = False  # it would format each one, though nobody listens
    ae = AE("DICOMLAB")
    ae.add_requested_context(FIND)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    for key in KEYS:
        setattr(identifier, key, None)
    with timed:
        association = ae.associate(peers.HOST, port, ae_title=ae_title)
        matches = [match for _, match in association.send_c_find(identifier, FIND) if match is not None]
        association.release()
        frame = pd.DataFrame([{element.keyword: str(element.value) for element in match} for match in matches])
    check(frame)


def check(frame: pd.DataFrame) -> None:
    assert len(frame) == data.STUDIES, f"{len(frame)} rows"
    assert frame.StudyInstanceUID.is_unique and frame.PatientName.nunique() == len(data.NAMES)
    assert set(KEYS) <= set(frame.columns)


ROW = Row("P4", f"C-FIND of {data.STUDIES:,} matches, 16 attributes, canned server", prepare)
