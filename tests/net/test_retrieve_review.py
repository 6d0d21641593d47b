"""Retrieve: what is due is known to be all of it, or said not to be (SPEC 5)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners
from dicomlab.net import contexts
from dicomlab.net.holdings import Held
from dicomlab.net.holdings import Holdings as Due

ST = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"


def test_a_list_cut_by_the_archive_is_not_taken_for_all_there_is() -> None:  # R5.11, 0xB001
    with (
        dl.demo_pacs(Holdings.t31(), manners=Manners(response_limit=3), timeout=10) as pacs,
        pytest.warns(errors.ResultWarning, match="may not be all"),
    ):
        got = pacs.retrieve(ST, progress=False)
    assert len(got) == 11 and got.attrs["complete"] is False
    assert not any("twice" in remark for remark in got.attrs["remarks"])


def test_a_patient_and_a_study_of_another_go_together() -> None:  # R5.1
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        try:
            got = pacs.retrieve([{"PatientID": "98890234"}, {"StudyInstanceUID": ST}], progress=False)
        except errors.InvalidRequest:
            pytest.skip("addresses takes no such mixture")
    assert ST in set(got.StudyInstanceUID) and "98890234" in set(got.PatientID)


def test_classes_beyond_those_of_the_modality_are_proposed_at_last() -> None:  # R5.6
    due = Due({"1.2": Held("1.2", "1", "2")}, modalities={"MR"})
    proposed = {one.abstract_syntax for batch in due.batches(contexts.STORABLE) for one in batch}
    assert set(contexts.storage_classes()) <= proposed
    assert all(len(batch) <= 127 for batch in due.batches(contexts.STORABLE))


def test_a_study_partly_here_is_completed_series_by_series() -> None:  # R5.13
    with dl.demo_pacs(Holdings.t31(), manners=Manners.dcmqrscp(), timeout=10) as pacs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = pacs.retrieve(ST, progress=False)
        for series in first.SeriesInstanceUID.unique()[:2]:
            Path(first.path[first.SeriesInstanceUID == series].iloc[0]).unlink()
        lost: Any = 11 - sum(Path(path).exists() for path in first.path)
        again = pacs.retrieve(ST, progress=False)
    assert len(again) == 11 and again.attrs["fetched"] == lost == 2
