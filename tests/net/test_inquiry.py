"""What an archive is asked before a retrieval: as few C-FINDs as are sure to do, and never a wrong answer (R5.11)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from canned import Answers, archive, match
from cohort.conftest import Counted, cohort
from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_FIND
from slices import stack

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings, Manners, find
from dicomlab.demo.server import SERVICES
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.node import Node
from dicomlab.net.retrieve import inquiry
from dicomlab.net.retrieve.holdings import Holdings as Due
from dicomlab.tables.tables import Address, addresses


def levels(server: DemoServer, before: int = 0) -> list[str]:
    """The levels of the C-FINDs that the archive received since."""
    return [one.identifier.QueryRetrieveLevel for one in server.requests("C-FIND")[before:]]


def one_study(series: int, planes: int = 3) -> Holdings:
    """One study of that many CT series."""
    found = []
    for n in range(series):
        for number, image in enumerate(stack(np.arange(planes) * 2.0)):
            image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = "P", "1.2.9", f"1.2.9.{n}"
            image.SOPInstanceUID = f"1.2.9.{n}.{number + 1}"
            found.append(image)
    return Holdings.of(found)


@pytest.fixture
def peer() -> Iterator[dl.Peer]:
    with dl.demo_pacs(one_study(6), timeout=20) as made:
        yield made


def due(address: str, wanted: list[Address], **options: Any) -> Due:
    title, where = address.split("@")
    node = Node(title, where.split(":")[0], int(where.split(":")[1]), **options)
    return inquiry.ask(node, wanted, Deadline(20))


def test_series_of_one_study_take_one_question_at_series_level(peer: dl.Peer) -> None:
    server = peer._owner.server
    series = peer.find("SERIES", StudyInstanceUID="1.2.9").iloc[[4, 1, 3]]
    before = len(levels(server))
    table = peer.retrieve(series)
    assert levels(server, before) == ["SERIES", "IMAGE", "IMAGE", "IMAGE"]
    assert list(dict.fromkeys(table.SeriesInstanceUID)) == list(series.SeriesInstanceUID)  # in the order of the rows
    assert len(table) == 9 and table.attrs["complete"]


def test_instances_of_one_series_take_one_question_at_each_level(peer: dl.Peer) -> None:
    server = peer._owner.server
    images = peer.find("IMAGE", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.2").iloc[[2, 0]]
    before = len(levels(server))
    table = peer.retrieve(images)
    assert levels(server, before) == ["SERIES", "IMAGE"]
    assert list(table.SOPInstanceUID) == list(images.SOPInstanceUID) and table.attrs["complete"]


def test_nothing_is_asked_twice_where_rows_name_it_twice(peer: dl.Peer) -> None:
    server = peer._owner.server
    study, series = Address("", "1.2.9"), Address("", "1.2.9", "1.2.9.2")
    image, other = Address("", "1.2.9", "1.2.9.2", "1.2.9.2.1"), Address("P", "1.2.9", "1.2.9.3", "1.2.9.3.1")
    before = len(levels(server))
    found = due(server.address, [image, series, study, other])
    assert sorted(levels(server, before)) == ["IMAGE"] * 6 + ["SERIES"]
    assert list(found.instances)[:3] == ["1.2.9.2.1", "1.2.9.2.2", "1.2.9.2.3"] and len(found.instances) == 18
    before = len(levels(server))
    some = due(server.address, [other, image, replace(image, SOPInstanceUID="1.2.9.2.3")])
    assert levels(server, before) == ["SERIES", "IMAGE", "IMAGE"]
    assert list(some.instances) == ["1.2.9.3.1", "1.2.9.2.1", "1.2.9.2.3"] and some.known


def test_rows_of_several_studies_keep_their_order() -> None:
    with DemoServer(cohort(3)) as server:
        wanted = [Address("", f"1.2.9.{n}", f"1.2.9.{n}.1", f"1.2.9.{n}.1.{k}") for n, k in [(0, 2), (2, 1), (0, 1)]]
        assert list(due(server.address, wanted).instances) == [one.SOPInstanceUID for one in wanted]


def test_what_is_not_there_is_asked_for_alone_and_no_doubt(peer: dl.Peer) -> None:
    wanted = [Address("", "1.2.9", f"1.2.9.{n}") for n in (1, 77, 2)]
    found = due(peer._owner.server.address, wanted)
    assert len(found.instances) == 6 and found.known and not found.short


# -- archives that know no lists of UIDs (PS3.4 C.2.2.2.2), or answer them in part ---------------------------------


def answered(holdings: Holdings, many: Callable[[list[str], list[Dataset]], Answers]) -> Any:
    """What an archive says that has those; to a list of UIDs what `many` makes of them and of what it has."""

    def answer(asked: Dataset) -> Answers:
        level = asked.QueryRetrieveLevel
        word = {"SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
        above = {name: asked[name].value for name in ("StudyInstanceUID", "SeriesInstanceUID") if name != word}
        found = {}
        for each in holdings:
            if all(each.header.get(name) == value for name, value in above.items()):
                names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality")
                values = {name: each.header[name].value for name in names}
                count = len(holdings.group("SERIES", each.header.SeriesInstanceUID))
                found.setdefault(
                    str(each.header[word].value),
                    match(QueryRetrieveLevel=level, NumberOfSeriesRelatedInstances=count, **values),
                )
        wanted = asked[word].value
        if wanted and not isinstance(wanted, str):
            yield from many(list(wanted), [found[uid] for uid in wanted if uid in found])
            return
        for uid, record in found.items():
            if not wanted or uid == wanted:
                yield 0xFF00, record
        yield 0x0000, None

    return answer


LISTS: dict[str, Callable[[list[str], list[Dataset]], Answers]] = {
    "finds nothing": lambda uids, found: [(0x0000, None)],
    "takes the first alone": lambda uids, found: [(0xFF00, found[0]), (0x0000, None)],
    "refuses them": lambda uids, found: [(0xA900, None)],
    "fails in the middle": lambda uids, found: [(0xFF00, found[0]), (0xC001, None)],
}


@pytest.mark.parametrize("how", LISTS)
@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_an_archive_that_is_no_good_at_lists_loses_nothing_and_gives_no_doubt(how: str, level: str) -> None:
    wanted = [Address("", "1.2.9", f"1.2.9.{n}") for n in (4, 0, 3)]
    if level == "IMAGE":
        wanted = [Address("", "1.2.9", "1.2.9.1", f"1.2.9.1.{n}") for n in (3, 1, 2)]
    with archive(answered(one_study(5), LISTS[how])) as address:
        found = due(address, wanted)
    assert found.known and not found.short and not found.why
    assert list(dict.fromkeys(one.SeriesInstanceUID for one in found.instances.values())) == list(
        dict.fromkeys(one.SeriesInstanceUID for one in wanted)
    )
    assert len(found.instances) == {"SERIES": 9, "IMAGE": 3}[level]


def test_a_list_that_is_cut_is_gone_on_with_one_by_one() -> None:
    with DemoServer(one_study(5, planes=2), manners=Manners(response_limit=2)) as server:  # 0xB001 after two
        found = due(server.address, [Address("", "1.2.9", f"1.2.9.{n}") for n in (4, 0, 3)])
        assert levels(server) == ["SERIES", "SERIES", "IMAGE", "IMAGE", "IMAGE"]
    assert len(found.instances) == 6 and found.known and not found.why


def test_an_archive_that_refuses_lists_is_asked_by_one_once() -> None:
    asked: list[Any] = []

    def many(uids: list[str], found: list[Dataset]) -> Answers:
        asked.append(uids)
        return [(0xA900, None)]

    wanted = [Address("", "1.2.9", f"1.2.9.{n}", f"1.2.9.{n}.{k}") for n in range(3) for k in (1, 2)]
    with archive(answered(one_study(3), many)) as address:
        found = due(address, wanted)
    assert len(asked) == 1 and len(found.instances) == 6 and found.known


def test_a_list_that_is_shorter_than_its_series_is_said_to_be_is_told_as_before() -> None:
    def answer(asked: Dataset) -> Answers:
        if asked.QueryRetrieveLevel == "SERIES":
            for n in range(3):
                count = {"NumberOfSeriesRelatedInstances": n} if n else {}
                yield 0xFF00, match(SeriesInstanceUID=f"1.2.9.{n}", Modality="CT", **count)
        elif asked.SeriesInstanceUID != "1.2.9.0":
            yield 0xFF00, match(SOPInstanceUID=f"{asked.SeriesInstanceUID}.1", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
        yield 0x0000, None

    with archive(answer) as address:
        some = due(address, [Address("", "1.2.9", f"1.2.9.{n}") for n in (1, 2)])
        every = due(address, [Address("", "1.2.9", f"1.2.9.{n}") for n in (0, 1, 2)])
    assert some.known and list(some.short) == ["1.2.9.2"] and some.short["1.2.9.2"].stated == 2
    assert every.short == some.short and not every.known and every.why.startswith("it names series 1.2.9.0 and none")


# -- many studies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("associations", "most"), [(1, 1), (4, 3), (2, 2)])
def test_many_studies_are_asked_for_on_the_associations_that_are_allowed(associations: int, most: int) -> None:
    studies = 2 * inquiry.PIECE + 1
    with DemoServer(cohort(studies)) as server:
        counted = Counted(server)
        wanted = [Address("", f"1.2.9.{n}", f"1.2.9.{n}.1") for n in reversed(range(studies))]
        found = due(server.address, wanted, associations=associations)
        assert counted.most <= most and len(server.requests("A-ASSOCIATE")) == most
    assert sorted(levels(server)) == ["IMAGE"] * studies + ["SERIES"] * studies  # no question twice
    series = list(dict.fromkeys(one.SeriesInstanceUID for one in found.instances.values()))
    assert series == [one.SeriesInstanceUID for one in wanted] and len(found.instances) == 3 * studies and found.known


def test_an_archive_that_cuts_off_a_second_association_is_asked_for_the_rest_on_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # R1.20
    stood: list[object] = []
    cut = threading.Event()  # the first waits for it, and does not do all the work alone

    def serve(call: Any) -> None:
        if call.assoc not in stood:
            stood.append(call.assoc)
        if stood.index(call.assoc) == 1:
            call.assoc.abort()
            cut.set()
        elif cut.wait(10):
            find.serve(call)

    monkeypatch.setitem(SERVICES, C_FIND, ("C-FIND", serve))
    studies = 2 * inquiry.PIECE
    with DemoServer(cohort(studies)) as server:
        wanted = [Address("", f"1.2.9.{n}", f"1.2.9.{n}.1") for n in range(studies)]
        found = due(server.address, wanted, associations=2)
    assert len(stood) == 3 and cut.is_set()
    assert found.known and len(found.instances) == 3 * studies
    series = list(dict.fromkeys(one.SeriesInstanceUID for one in found.instances.values()))
    assert series == [one.SeriesInstanceUID for one in wanted]


def test_an_estimate_of_a_cohort_asks_two_questions_a_series(peer: dl.Peer) -> None:
    with dl.demo_pacs(cohort(20), timeout=20) as pacs:
        server = pacs._owner.server
        series = pacs.find("SERIES", PatientName="COHORT*")
        before = len(levels(server)), len(server.requests("A-ASSOCIATE"))
        (row,) = dl.apply(len, series, peer=pacs, dry_run=True).itertuples()
        assert (row.series, row.instances) == (20, 60)
        assert len(levels(server)) - before[0] == 40 and len(server.requests("A-ASSOCIATE")) - before[1] == 1
        dl.apply(lambda volume: int(volume.size), series, peer=pacs)
        assert len(levels(server)) - before[0] == 80  # what is retrieved is asked for once


def test_wishes_are_one_a_study() -> None:
    rows = pd.DataFrame({"StudyInstanceUID": ["1", "2", "1"], "SeriesInstanceUID": ["1.1", "2.1", "1.2"]})
    assert [(one.study, list(one.series)) for one in inquiry.wishes(addresses(rows))] == [
        ("1", ["1.1", "1.2"]), ("2", ["2.1"]),
    ]  # fmt: skip
