"""What the demo PACS holds is found by its UIDs: an answer takes no longer the more there is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicomlab.demo import DemoServer, Holdings, find
from dicomlab.demo.cohort import cohort
from dicomlab.demo.holdings import UNIQUE, of_dataset

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
assert _place is not None and _place.loader is not None
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)


def grouped(holdings: Holdings, level: str) -> dict[str, list[str]]:
    """By hand: the SOP Instance UIDs of each group."""
    found: dict[str, list[str]] = {}
    for each in holdings:
        found.setdefault(str(each.header.get(UNIQUE[level], "")), []).append(each.uid)
    return found


def told(holdings: Holdings, level: str) -> dict[str, list[str]]:
    return {str(group[0].header.get(UNIQUE[level])): [each.uid for each in group] for group in holdings.groups(level)}


def changed(holdings: Holdings, uid: str, **values: Any) -> Dataset:
    dataset = holdings[uid].dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def test_groups_stay_what_they_are_while_instances_come_change_and_go() -> None:
    holdings = Holdings.t31()
    uids = [each.uid for each in holdings]
    holdings.add(of_dataset(changed(holdings, uids[0], PatientID="ANOTHER", StudyInstanceUID="1.2.3")))
    holdings.add(of_dataset(changed(holdings, uids[1], PatientComments="the same study")))
    holdings.add(of_dataset(changed(holdings, uids[2], SOPInstanceUID="1.2.3.4")))
    holdings.remove(uids[3])
    holdings.remove(uids[3])  # it is gone already
    for group in holdings.groups("STUDY")[2:4]:
        for each in group:
            holdings.remove(each.uid)
    assert "1.2.3.4" in holdings and uids[0] in [each.uid for each in holdings.group("PATIENT", "ANOTHER")]
    for level in UNIQUE:
        assert told(holdings, level) == grouped(holdings, level)
        for value, named in grouped(holdings, level).items():
            assert [each.uid for each in holdings.group(level, value)] == named
    assert holdings.sop_classes == {each.sop_class for each in holdings}
    assert holdings.group("STUDY", "1.9.9") == []


def test_instances_of_several_uids_come_in_the_order_of_the_holdings() -> None:
    holdings = Holdings.t31()
    studies = [group[0].header.StudyInstanceUID for group in holdings.groups("STUDY")]
    found = holdings.among({"StudyInstanceUID": [studies[2], studies[0], studies[2], "1.9"]})
    assert found == [each for each in holdings if each.header.StudyInstanceUID in (studies[0], studies[2])]
    one = found[-1]
    named = {"StudyInstanceUID": studies, "SOPInstanceUID": [one.uid]}
    assert holdings.among(named) == [one] and holdings.groups("SERIES", named) == [
        holdings.group("SERIES", one.header.SeriesInstanceUID)
    ]


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_an_answer_looks_at_what_is_named_alone(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(find, "matches", lambda *args, was=find.matches: looked.append(1) or was(*args))
    costs = []
    for patients in (1, 20):
        holdings, _ = cohort(patients)
        first = next(iter(holdings)).header
        keys = {word: first[word].value for word in ("StudyInstanceUID", "SeriesInstanceUID")}
        also = {"SERIES": {"NumberOfSeriesRelatedInstances": None}, "IMAGE": {"SOPInstanceUID": ""}}[level]
        with DemoServer(holdings) as server:
            looked.clear()
            rows, status = scu.find(server, level, **keys, **also)
        assert status == 0 and len(rows) == {"SERIES": 1, "IMAGE": 12}[level]
        costs.append(len(looked))
    assert costs[0] == costs[1] > 0
