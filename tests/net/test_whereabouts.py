"""Where the rows of a query say that their instances are (R5.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners
from dicomlab.net.association.addressbook import nodes
from dicomlab.net.association.node import Node
from dicomlab.net.query.whereabouts import whereabouts

ST = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"
NODE = Node("ARCHIVE", "127.0.0.1", 104)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DICOMLAB_CONFIG", str(tmp_path))
    book = nodes()
    book.add("deep", Node("DEEP", "10.0.0.9", 104))
    book.save()
    return book


@pytest.mark.parametrize("word", ["OFFLINE", "UNAVAILABLE"])
def test_what_is_offline_is_refused_before_anything_is_sent_unless_forced(word: str) -> None:
    with dl.demo_pacs(Holdings.t31(), manners=Manners(availability=word), timeout=10) as pacs:
        rows = pacs.find("STUDY", StudyInstanceUID=ST)
        assert list(rows.InstanceAvailability) == [word]
        with pytest.raises(errors.InvalidRequest, match=f"1 of 1 rows is {word}.*force=True"):
            pacs.retrieve(rows, progress=False)
        assert not pacs._owner.server.requests("C-GET")  # type: ignore[union-attr, attr-defined]
        assert pacs.retrieve(rows, dry_run=True).attrs["to_fetch"] == 11
        assert len(pacs.retrieve(rows, progress=False, force=True)) == 11


@pytest.mark.parametrize(
    "what",
    [
        "1.2",
        {"StudyInstanceUID": "1.2"},
        {"StudyInstanceUID": "1.2", "RetrieveAETitle": "", "InstanceAvailability": "NEARLINE"},
        {"StudyInstanceUID": "1.2", "RetrieveAETitle": "ARCHIVE"},
        {"StudyInstanceUID": "1.2", "RetrieveAETitle": "DEEP\\ARCHIVE"},
        pd.DataFrame({"StudyInstanceUID": ["1.2"], "RetrieveAETitle": [pd.NA]}),
        pd.Series({"StudyInstanceUID": "1.2", "RetrieveAETitle": ["DEEP", "ARCHIVE"]}),
        [{"StudyInstanceUID": "1.2", "RetrieveAETitle": "DEEP"}, {"StudyInstanceUID": "1.3", "RetrieveAETitle": "X"}],
    ],
)
def test_the_node_that_answered_is_asked_unless_all_rows_name_another(what: Any, book: Any) -> None:
    assert whereabouts(NODE, what) == (NODE, "")


def test_another_node_is_asked_where_it_is_in_the_book(book: Any) -> None:
    rows = pd.DataFrame({"StudyInstanceUID": ["1.2", "1.3"], "RetrieveAETitle": ["DEEP", "DEEP"]})
    found, title = whereabouts(NODE, rows)
    assert (found.identity, title) == ("DEEP@10.0.0.9:104", "DEEP")


def test_a_title_that_nobody_knows_is_recorded_and_the_node_that_answered_asked(book: Any) -> None:
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        rows = pacs.find("STUDY", StudyInstanceUID=ST).assign(RetrieveAETitle="ELSEWHERE")
        got = pacs.retrieve(rows, progress=False)
    assert len(got) == 11
    assert got.attrs["retrieve_ae_title"] == "ELSEWHERE" and got.attrs["peer"] == pacs.node.identity
