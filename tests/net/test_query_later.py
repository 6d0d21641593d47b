"""Matches that nobody looks at are read together when the table is made, and give the same table."""

from __future__ import annotations

import pandas as pd
import pytest

import dicomlab as dl
from dicomlab.datasets.elements import Elements
from dicomlab.demo import Holdings
from dicomlab.errors import BadData
from dicomlab.net.association.operation import Course


def test_the_table_is_the_same_whether_matches_were_looked_at_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        seen: list[dict[str, object]] = []
        looked_at = pacs.find("STUDY", PatientID="*", on_match=seen.append)
        monkeypatch.setattr(Elements, "raw", property(lambda record: pytest.fail("a match was parsed")))
        together = pacs.find("STUDY", PatientID="*")
    assert len(seen) == len(together) == 6
    pd.testing.assert_frame_equal(together, looked_at, check_flags=False)


def test_a_raw_find_gives_the_data_sets_that_were_not_looked_at() -> None:  # R3.2
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        frame = pacs.find("STUDY", PatientID="*", raw=True)
    assert [one.StudyInstanceUID for one in frame.dataset] == frame.StudyInstanceUID.tolist()


def test_a_match_that_cannot_be_read_is_named_by_its_number_among_all() -> None:
    course = Course(limit=100, matches=5, bare=[1, 4])
    course.unread({0: BadData("broken"), 2: BadData("broken"), 4: BadData("broken")})
    assert [text.split(" cannot")[0] for text in course.unreadable] == ["match 2", "match 5", "match 7"]
    assert course.matches == 2
