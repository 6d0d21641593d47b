"""Folders, DICOMDIRs and the cache are asked like a peer (R3.23)."""

from __future__ import annotations

import datetime as dt
import doctest
import json
import re
from pathlib import Path

import pydicom
import pytest
import slices
from received import CT, EXPLICIT, NODE, data_set

import dicomlab.cache.folder
from dicomlab.cache.cache import Cache
from dicomlab.cache.folder import open_folder
from dicomlab.errors import IncompleteRetrieve, InvalidRequest
from dicomlab.level import QueryLevel
from dicomlab.queries.models import RETURN_KEYS

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
T31 = FILES / "dicomdirtests"
ROOT = "1.3.6.1.4.1.5962.1.1.0.0.0."
ST = ROOT + "1196533885.18148.0.1"


@pytest.fixture(scope="module")
def folder():
    return open_folder([T31 / "77654033", T31 / "98892001", T31 / "98892003"])


def test_the_levels_of_t31_have_2_6_13_and_31_rows(folder):  # SPEC 0.3
    assert [len(folder.find(level)) for level in QueryLevel] == [2, 6, 13, 31]


def test_a_dicomdir_gives_the_same_tables(folder):  # R3.23
    other = open_folder(T31 / "DICOMDIR")
    for level in QueryLevel:
        assert other.find(level).equals(folder.find(level))


def test_the_columns_are_those_of_a_query_of_a_peer(folder):
    frame = folder.find("SERIES")
    assert set(frame.columns) >= {*RETURN_KEYS[QueryLevel.SERIES], *RETURN_KEYS[QueryLevel.STUDY]}
    assert list(frame.columns[:3]) == ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]
    assert str(frame.StudyDate.dtype) == "datetime64[ns]" and str(frame.SeriesNumber.dtype) == "Int64"
    assert json.loads(json.dumps(frame.attrs)) == frame.attrs


def test_counts_are_computed(folder):  # SPEC 0.3
    studies = folder.find("STUDY").set_index("StudyInstanceUID")
    expected = {"1196527414.5534.0.1": (3, 3), "1196530851.28319.0.1": (1, 4), "1196533885.18148.0.1": (3, 11)}
    for uid, (series, instances) in expected.items():
        row = studies.loc[ROOT + uid]
        assert (row.NumberOfStudyRelatedSeries, row.NumberOfStudyRelatedInstances) == (series, instances)
    assert studies.loc[ST].ModalitiesInStudy == "MR"
    patients = folder.find("PATIENT").set_index("PatientID")
    assert patients.NumberOfPatientRelatedStudies.to_dict() == {"77654033": 2, "98890234": 4}
    assert patients.NumberOfPatientRelatedInstances.to_dict() == {"77654033": 7, "98890234": 24}
    assert sorted(folder.find("SERIES", StudyInstanceUID=ST).NumberOfSeriesRelatedInstances) == [1, 3, 7]


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"PatientName": "Doe^Pe*"}, 4),
        ({"PatientID": "77654033"}, 2),
        ({"StudyDate": "20010101-20030101"}, 2),
        ({"StudyDate": ("19950101", "19951231")}, 1),
        ({"StudyInstanceUID": [ST, ROOT + "1196530851.28319.0.1"]}, 2),
        ({"ModalitiesInStudy": "CT"}, 2),
        ({"Modality": "CT"}, 2),
        ({"PatientID": "nobody"}, 0),
        ({"PatientName": ""}, 6),
    ],
)
def test_keys_match_as_in_a_query_of_a_peer(folder, keys, count):  # R3.4 to R3.7
    frame = folder.find("STUDY", **keys)
    assert len(frame) == count and set(keys) <= set(frame.columns)


def test_keys_of_the_levels_above_filter_below(folder):  # R3.9
    frame = folder.find("SERIES", PatientName="Doe^Archibald", Modality="CT")
    assert set(frame.PatientID) == {"77654033"} and set(frame.Modality) == {"CT"}
    assert len(folder.find("IMAGE", StudyInstanceUID=ST)) == 11


def test_an_attribute_that_is_no_default_can_be_asked_for(folder):
    frame = folder.find("SERIES", Manufacturer="")
    assert frame.Manufacturer.notna().any()


@pytest.mark.parametrize("keys", [{"PatientNmae": "x"}, {"PatientID": []}, {"PatientID": 77654033}])
def test_what_cannot_be_asked_is_refused(folder, keys):  # R3.4
    with pytest.raises(InvalidRequest):
        folder.find("STUDY", **keys)


def test_a_limit_cuts_and_says_so(folder):
    frame = folder.find("IMAGE", limit=5)
    assert len(frame) == 5 and "5" in frame.attrs["cut"] and folder.find("IMAGE").attrs["cut"] is None


def test_matches_are_retrieved_as_rows_of_the_instances_table(folder):
    series = folder.find("SERIES", StudyInstanceUID=ST)
    frame = folder.retrieve(series)
    assert len(frame) == 11 and all(Path(path).is_file() for path in frame.path)
    assert len(folder.retrieve(series[series.NumberOfSeriesRelatedInstances == 7])) == 7
    assert len(folder.retrieve(ST)) == 11 and len(folder.retrieve(series.iloc[0])) in (1, 3, 7)
    assert len(folder.retrieve(folder.find("PATIENT", PatientID="77654033"))) == 7


def test_what_is_not_here_is_named(folder):
    with pytest.raises(IncompleteRetrieve) as caught:
        folder.retrieve([ST, "1.2.3"])
    assert caught.value.missing == ["1.2.3"] and len(caught.value.instances) == 11
    assert folder.retrieve([ST, "1.2.3"], errors="report").attrs["missing"] == ["1.2.3"]
    with pytest.raises(InvalidRequest, match="selected"):
        folder.retrieve(folder.find("STUDY", PatientID="nobody"))


def test_the_cache_is_asked_like_a_peer(tmp_path):  # R3.23
    cache = Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")
    assert len(open_folder(cache).find("STUDY")) == 0
    for number in range(3):
        uid = f"1.2.3.{number}"
        cache.receive(NODE, data_set(uid), sop_class=CT, sop_instance=uid, transfer_syntax=EXPLICIT)
    cache.receive(NODE, data_set("1.9")[:-4], sop_class=CT, sop_instance="1.9", transfer_syntax=EXPLICIT)
    held = open_folder(cache)
    assert held.find("STUDY", PatientID="P1").NumberOfStudyRelatedInstances.tolist() == [3]
    assert len(held.retrieve("1.2.3")) == 3
    cache.close()


def test_a_key_by_tag_or_path_has_a_column_here_too(folder):  # R3.3, R3.23
    found = folder.find("SERIES", **{"00100010": "*", "RequestAttributesSequence[0].RequestedProcedureID": ""})
    assert "00100010" not in found and found.PatientName.notna().all()
    assert found["RequestAttributesSequence[0].RequestedProcedureID"].isna().all()


def test_a_folder_is_looked_at_again_when_asked_and_says_how_old_it_is(tmp_path):  # R14.4
    made = slices.stack(range(3), StudyDate="20240101")
    paths = slices.write(tmp_path / "place", made)
    folder = open_folder(tmp_path / "place")
    assert re.fullmatch(r"Folder\(3 instances, looked at \d s ago\)", repr(folder))
    assert len(folder.find("SERIES", SeriesNumber=4)) == 1
    folder.looked_at -= dt.timedelta(minutes=5)
    assert repr(folder).startswith("Folder(3 instances, looked at 5 min")
    paths[0].unlink()
    slices.write(tmp_path / "place" / "more", slices.stack(range(1), SeriesInstanceUID="1.2.9", SOPInstanceUID="1.9"))
    assert len(folder) == 3 and len(folder.find("SERIES", StudyInstanceUID="1.2.1")) == 1
    assert folder.refresh() is folder and "min" not in repr(folder)
    assert len(folder.find("SERIES", StudyInstanceUID="1.2.1")) == 2


def test_an_empty_cache_beside_a_folder_hides_nothing_and_is_looked_at_again(tmp_path):  # R3.23, R14.4
    cache = Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")
    slices.write(tmp_path / "place", slices.stack(range(3)))
    assert len(open_folder(cache, tmp_path / "place")) == 3
    folder = open_folder(cache)
    assert len(folder) == 0
    cache.receive(NODE, data_set(), sop_class=CT, sop_instance="1.2.3.1", transfer_syntax=EXPLICIT)
    assert len(folder.refresh()) == 1
    cache.close()


def test_the_examples_run():
    assert doctest.testmod(dicomlab.cache.folder).failed == 0
