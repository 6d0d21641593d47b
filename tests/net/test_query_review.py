"""Query: rows are neither lost nor doubled, whichever peer answers (SPEC 3)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.datasets.elements import Elements
from dicomlab.demo import Holdings, Manners
from dicomlab.net.query.inheritance import inherit
from dicomlab.net.query.provenance import as_row
from dicomlab.queries.keys import key_of


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_a_limit_of_as_many_as_there_are_cuts_nothing(level: str) -> None:  # R3.14
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        number = len(pacs.find(level, PatientID="*"))
        for _ in range(10):
            assert pacs.find(level, PatientID="*", limit=number).attrs["cut"] is None
        with pytest.warns(errors.ResultWarning, match="cut at the limit"):
            cut = pacs.find(level, PatientID="*", limit=number - 1)
        assert len(cut) == number - 1 and cut.attrs["cut"]


def test_a_modality_filter_of_studies_gives_the_same_series_whichever_peer_answers() -> None:  # R3.15
    found = []
    for manners in (Manners(), Manners.dcmqrscp()):
        with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(set(pacs.find("SERIES", ModalitiesInStudy="CT").SeriesInstanceUID))
    assert found[0] == found[1]


def test_a_warning_of_each_points_at_the_line_of_its_user() -> None:
    with (
        dl.demo_pacs(Holdings.t31(), timeout=10) as pacs,
        pytest.warns(errors.ResultWarning, match="cut at the limit") as caught,
    ):
        for _ in pacs.each("STUDY", PatientID="*", limit=2):
            pass
    assert caught[0].filename == __file__


def test_leaving_each_early_is_quiet_and_the_next_question_works() -> None:  # R1.14
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        for _ in pacs.each("STUDY", PatientID="*"):
            break
        rows = pacs.each("SERIES", PatientID="*")
        next(rows)
        rows.close()  # type: ignore[attr-defined]
        assert len(pacs.find("STUDY", PatientID="*")) == 6


def test_what_a_study_says_keeps_its_meaning_in_rows_of_another_repertoire() -> None:  # R3.18
    parent = Elements(
        {0x00080005: ("CS", b"ISO_IR 192"), 0x00100010: ("PN", "Müller^Jörg".encode())}, False
    )
    record = Elements({0x00080005: ("CS", b"ISO_IR 100"), 0x0008103E: ("LO", "Schädel".encode("latin-1"))}, False)
    inherit(record, parent)
    assert record.get("PatientName") == "Müller^Jörg" and record.get("SeriesDescription") == "Schädel"


def test_a_number_that_is_none_does_not_end_the_question() -> None:  # R3.19
    record = Elements({0x00200013: ("IS", b"abc ")}, False)
    row: dict[str, Any] = as_row(record, {name: key_of(name) for name in ("InstanceNumber", "Rows")})
    assert row == {"InstanceNumber": "abc", "Rows": None}
