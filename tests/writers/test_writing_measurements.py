"""Write: a table of measurements as a structured report, TID 1500 (SPEC 13)."""

from __future__ import annotations

import subprocess

import derived
import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import require_peer

import dicomlab as dl
from dicomlab.errors import InvalidRequest

pytest.importorskip("highdicom")
FREE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
LIVER = ("10200004", "SCT", "Liver")


def table_of(uids):
    """Three numbers of two things."""
    return pd.DataFrame(
        {
            "name": [("118565006", "SCT", "Volume"), "Mean dose", ("410668003", "SCT", "Length")],
            "value": [1234.5678901234567, 41.25, 7],
            "unit": ["ml", "Gy", "mm"],
            "finding_site": [LIVER, LIVER, "linke Lunge"],
            "tracking": ["lesion 1", "lesion 1", "lesion 2"],
            "references": [uids[:2], uids[:2], []],
        }
    )


def written(tmp_path, table=None, **more):
    source = derived.series(tmp_path / "source")
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in source]
    return uids, dl.write(table_of(uids) if table is None else table, tmp_path / "out", like=source, **more)


def test_measurements_come_back_as_they_were_and_other_programs_read_them(tmp_path):  # R13.1, R13.4
    uids, table = written(tmp_path, SeriesDescription="Größen", observer="Doe^Jane")
    back = dl.load(table)
    found = back.measurements
    assert found.value.tolist() == [1234.5678901234567, 41.25, 7.0] and found.unit.tolist() == ["ml", "Gy", "mm"]
    assert found.name.tolist() == ["Volume", "Mean dose", "Length"]
    assert found.code.tolist() == ["118565006 SCT", "MEAN_DOSE 99DICOMLAB", "410668003 SCT"]
    assert found.finding_site.tolist() == ["Liver", "Liver", "linke Lunge"]
    assert found.tracking.tolist() == ["lesion 1", "lesion 1", "lesion 2"]
    assert found.references.tolist() == [uids[:2], uids[:2], []]
    assert sorted(back.references.SOPInstanceUID) == sorted(uids) and back.status == "COMPLETE, UNVERIFIED"
    old, new = pydicom.dcmread(tmp_path / "source" / "0000.dcm"), pydicom.dcmread(table.path[0])
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID"):
        assert new[keyword].value == old[keyword].value, keyword
    assert new.Modality == "SR" and new.SeriesDescription == "Größen"
    assert not derived.verified(table.path[0])
    said = subprocess.run([require_peer("dsrdump"), "+U8", table.path[0]], capture_output=True, timeout=60)
    shown = said.stdout.decode()
    assert said.returncode == 0 and "Imaging Measurement Report" in shown and '"1234.56789012346" (ml' in shown
    assert "lesion 2" in shown and "Doe^Jane" in shown


def test_what_was_read_may_be_written_again(tmp_path):
    _, table = written(tmp_path)
    first = dl.load(table).measurements
    again = dl.load(dl.write(first, tmp_path / "again", like=tmp_path / "source")).measurements
    pd.testing.assert_frame_equal(again.drop(columns="path"), first.drop(columns="path"))


@settings(max_examples=10, **FREE)
@given(
    st.lists(
        st.tuples(
            st.text("abcdefghijklmnop ÄöÜ骨,^=-", min_size=1, max_size=60).filter(lambda name: name.strip()),
            st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**9), 10**9)),
            st.sampled_from(["mm", "ml", "1", "[hnsf'U]", "{SUVbw}g/ml", "Cel", "Gy", "%"]),
            st.sampled_from(["", "a", "b"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_numbers_come_back_to_the_last_bit(tmp_path, rows):  # R13.3
    source = derived.series(tmp_path / "source", count=1)
    table = pd.DataFrame(rows, columns=["name", "value", "unit", "tracking"])
    made = dl.write(table, tmp_path / "out", like=source)
    found = dl.load(made).measurements
    assert found.value.tolist() == [float(value) for value in table.value]
    assert found.name.tolist() == [name.strip() for name in table.name]
    assert found.unit.tolist() == table.unit.tolist() and all(
        one == given or (one.startswith("measurement ") and not given)
        for one, given in zip(found.tracking, table.tracking, strict=True)
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"name": "a", "value": 1.0}], "no column unit"),
        ([{"name": "a", "value": 1.0, "unit": "mm²"}], "no code of UCUM. Write mm2"),
        ([{"name": "a", "value": 1.0, "unit": None}], "no code of UCUM"),
        ([{"name": "a", "value": np.nan, "unit": "mm"}], "Leave that row out"),
        ([{"name": "a", "value": "12", "unit": "mm"}], "is no number"),
        ([{"name": "", "value": 1.0, "unit": "mm"}], "row 1 has no name"),
        ([{"name": ("1", "SCT"), "value": 1.0, "unit": "mm"}], "is no code"),
        ([{"name": "a", "value": 1.0, "unit": "mm", "site": "x"}], "have no column 'site'"),
        ([{"name": "a", "value": 1.0, "unit": "mm", "references": ["1.2.3"]}], "none of like="),
    ],
)
def test_what_is_no_measurement_is_refused_and_nothing_is_written(tmp_path, rows, said):
    with pytest.raises(InvalidRequest, match=said):
        written(tmp_path, pd.DataFrame(rows))
    with pytest.raises(InvalidRequest, match="there is no measurement"):
        written(tmp_path, pd.DataFrame({"name": [], "value": [], "unit": []}))
    assert not (tmp_path / "out").exists()
