"""A table that was saved, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from dicomlab.elements import parse
from dicomlab.errors import BadFile
from dicomlab.identifier import encode
from dicomlab.readtable import read_table
from dicomlab.tables import addresses, table

WORDS = [
    "PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyTime", "Rows", "SliceThickness",
    "AccessionNumber",
]  # fmt: skip


def frame_of(*rows: dict[str, Any], extra: Any = None) -> pd.DataFrame:
    records = []
    for row in rows:
        data_set = Dataset()
        for word, value in row.items():
            setattr(data_set, word, value)
        records.append(parse(encode(data_set, implicit=True), implicit=True))
    return table(records, [*WORDS, "ModalitiesInStudy"], extra=extra)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_saved_table_keeps_its_identifiers_and_types(tmp_path: Path, suffix: str) -> None:  # DESIGN 1
    frame = frame_of(
        {"PatientID": "00123", "PatientName": "NA", "StudyInstanceUID": "1.2", "StudyDate": "20240131",
         "StudyTime": "1430", "Rows": 512, "SliceThickness": "2.5", "AccessionNumber": "001"},
        {"PatientID": "1e5", "PatientName": "null", "StudyInstanceUID": "1.3"},
        extra={"path": pd.array(["a", "b"], dtype="string")},
    ).drop(columns="ModalitiesInStudy")  # fmt: skip
    path = tmp_path / f"table.{suffix}"
    frame.to_csv(path) if suffix == "csv" else frame.to_parquet(path)
    again = read_table(path)
    assert again.PatientID.tolist() == ["00123", "1e5"] and again.PatientName.tolist() == ["NA", "null"]
    assert str(again.StudyDate.dtype) == "datetime64[ns]" and str(again.Rows.dtype) == "Int64"
    pd.testing.assert_frame_equal(again, frame)
    assert addresses(again) == addresses(frame)


def test_tuples_come_back_from_csv(tmp_path: Path) -> None:
    frame = frame_of({"ModalitiesInStudy": ["CT", "MR"]}, {"ModalitiesInStudy": ["CT"]})
    frame.to_csv(tmp_path / "table.csv", index=False)
    assert read_table(tmp_path / "table.csv").ModalitiesInStudy.tolist() == [("CT", "MR"), "CT"]


def test_a_file_that_is_no_table_is_a_bad_file(tmp_path: Path) -> None:  # R0.4
    (tmp_path / "empty.csv").touch()
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    for name in ("absent.csv", "empty.csv", "bad.parquet", "."):
        with pytest.raises(BadFile):
            read_table(tmp_path / name)
