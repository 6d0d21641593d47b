"""A table that was saved, read back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from support import ROOT

from dicomlab.datasets.elements import parse
from dicomlab.errors import BadFile
from dicomlab.queries.identifier import encode
from dicomlab.tables.readtable import read_table
from dicomlab.tables.tables import addresses, table

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


def dicom() -> bytes:
    return Path(get_testdata_file("CT_small.dcm", download=False)).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.csv", None, "No such file"),
        (".", None, "directory"),
        ("empty.csv", b"", "empty.*Save the table"),
        ("blank.csv", b" \n\n", "empty"),
        ("image.dcm", dicom, "DICOM file, no table.*dicomlab.scan"),
        ("book.xlsx", b"PK\3\4 and so on", "workbook.*as CSV in UTF-8"),
        ("excel.csv", "PatientID,Age\n1,2\n".encode("utf-16"), "not UTF-8.*CSV in UTF-8"),
        ("latin.csv", "PatientName\nMüller\n".encode("latin-1"), "not UTF-8.*CSV in UTF-8"),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither CSV nor Parquet.*to_csv"),
        ("bad.parquet", b"not parquet", "neither CSV nor Parquet"),
        ("cut.parquet", b"PAR1 and no more", "no table.*to_parquet"),
        ("german.csv", b"PatientID;StudyDate\n1;2\n", "does not name columns separated by commas.*with commas"),
        ("read.me", b"# A title\n\nSome text, and more\n", "no table.*to_csv"),
        ("letter.txt", b"Dear colleague, thank you\nfor the images, and more\n", "none of this is an attribute"),
        ("notes.txt", b"patient one was seen\npatient two was not\n", "does not name columns"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3,4\n", "no table.*Save it once more"),
    ],
)
def test_a_file_that_is_no_table_says_so_and_what_to_do(tmp_path: Path, name: str, content: Any, said: str) -> None:
    if content is not None:  # R0.4
        (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(BadFile, match=f"(?s){said}"):
        read_table(tmp_path / name)


def test_a_table_of_results_alone_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("volume_ml,reader\n12,A\n13,B\n")
    assert read_table(tmp_path / "results.csv").volume_ml.tolist() == [12, 13]
    (tmp_path / "uids.csv").write_text("StudyInstanceUID\n1.2\n1.3\n")
    assert [one.StudyInstanceUID for one in addresses(read_table(tmp_path / "uids.csv"))] == ["1.2", "1.3"]


def test_parquet_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    pd.DataFrame({"PatientID": ["1"]}).to_parquet(tmp_path / "table.dat")
    assert read_table(tmp_path / "table.dat").PatientID.tolist() == ["1"]  # its bytes say what it is
    code = (
        "import sys; sys.modules.update(pyarrow=None, fastparquet=None)\n"
        "from dicomlab.tables.readtable import read_table\n"
        f"try: read_table({str(tmp_path / 'table.dat')!r})\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("MissingCodec") and 'pip install "dicomlab[parquet]"' in done.stdout, done.stderr
