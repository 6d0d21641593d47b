"""A notebook that is run with phi off and saved holds none of the names that were planted; with phi on it does (S6)."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path

import nbformat
import pydicom
import pytest
from nbclient import NotebookClient
from pydicom.data import get_testdata_file
from support import ROOT

# The kernel's own libraries warn about what is none of ours (ports, event loops)
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(400)]

PLANTED = {
    "PatientName": "Zimbelstern^Annabella",
    "PatientID": "QX7-471188",
    "PatientBirthDate": "19471103",
    "PatientComments": "Cornetto lives next door",
    "StudyDescription": "Schalmei follow-up",
    "SeriesDescription": "Krummhorn thin",
    "ReferringPhysicianName": "Dulzian^Otto",
    "AccessionNumber": "ACC-Pommer-9",
    "StudyID": "Rankett7",
    "InstitutionName": "Sordun Clinic",
    "PatientAddress": "Bombarde Street 3",
    "StudyDate": "20190817",
}
# What is looked for, in whatever form it is written.
WORDS = (
    "zimbelstern", "annabella", "qx7-471188", "19471103", "1947-11-03", "cornetto", "schalmei", "krummhorn", "dulzian",
    "pommer", "rankett", "sordun", "bombarde", "20190817", "2019-08-17", "flageolett",
    "regal ", "serpent", "ophicleide",
)  # fmt: skip

CELLS = (
    "import os, sys, logging, warnings; logging.basicConfig(level=logging.DEBUG, force=True)\n"
    "import pandas as pd; import dicomlab as dl; from dicomlab.demo import Holdings; import pydicom\n"
    "from pathlib import Path; folder = Path(os.environ['PLANTED_FOLDER']); out = Path(os.environ['PLANTED_OUT'])\n"
    "logging.getLogger('matplotlib').setLevel('INFO'); pd.set_option('display.max_columns', None)\n"
    "dl.options.phi = os.environ['PLANTED_PHI'] == '1'",
    "pacs = dl.demo_pacs(Holdings.of(pydicom.dcmread(path) for path in sorted(folder.glob('ct*/*good*'))))\n"
    "pacs, pacs.hooks.add('after C-FIND-RSP', lambda event: print(event)), pacs.hooks",
    "keys = ['PatientComments', 'PatientName', 'PatientBirthDate', 'StudyDescription', 'SeriesDescription',\n"
    "'ReferringPhysicianName', 'AccessionNumber', 'StudyID', 'InstitutionName', 'PatientAddress', 'StudyDate']\n"
    "found = pacs.find('STUDY', on_match=print, **dict.fromkeys(keys, '')); found",
    "print(found.T.to_string()); print(found.attrs); found.to_dict()",
    "series = pacs.find('SERIES', SeriesDescription='', raw=True); print(series.dataset[0]); series",
    "again = pacs.find('STUDY', PatientID=found.PatientID.tolist(), PatientName=found.PatientName[0], "
    "StudyDate=found.StudyDate[0]); print(again.attrs); assert len(again) == 1; again",
    "pacs.find('STUDY', PatientName=found.PatientName[0], StudyTime='x' + found.PatientID[0])",
    "instances = pacs.retrieve(series, progress=True); print(instances.T.to_string()); instances",
    "job = pacs.retrieve(series, background=True); job.wait(); print(repr(job), job._repr_html_()); job",
    "volume = dl.load(instances); print(volume, volume.attrs, volume.dicom); volume",
    "print(volume.dicom.instances.to_string(), volume.coords['path'].values); pacs.negotiated",
    "dl.view(volume)",
    "volume.dicom.montage()",
    "dl.pick(series)",
    "scanned = dl.scan(folder); print(scanned.attrs, scanned.path.tolist()); scanned",
    "everything = dl.load_all(scanned); print(everything, everything.report.to_string())\n"
    "print(everything.stacks.to_string()); everything",
    "for thing in everything.values():\n"
    "    print(thing); display(thing)\n"
    "    for table in ('rois', 'content', 'measurements', 'references', 'annotations', 'text', 'title', 'dataset'):\n"
    "        if hasattr(thing, table): print(getattr(thing, table).to_string() "
    "if hasattr(getattr(thing, table), 'to_string') else getattr(thing, table))",
    "dl.load(scanned)",
    "dl.load(sorted(folder.glob('*/*bad*'))[0])",
    "dl.load(sorted(map(str, folder.glob('ct*/*')))[-1] + 'none')",
    "print(dl.open_folder(folder).find('STUDY', PatientComments='').T.to_string())",
    "everything[everything and next(iter(everything)) + ' of nobody']",
    "volume.dicom.suv()",
    "volume.dicom.to_nifti(out / 'out.nii.gz'); volume.to_netcdf(out / 'out.nc', engine='h5netcdf')\n"
    "volume.dicom.to_sitk(), volume.dicom.to_nibabel()",
    "found.to_csv(out / 'found.csv'); dl.read_table(out / 'found.csv')",
    "raise dl.errors.StatusError(str(pacs.find('STUDY', PatientID='').PatientName[0]))",
    "pacs.close()",
)


def planted(folder: Path) -> None:
    """CT of three planes, one cut short, a structure set and a report, whose headers and file names hold names."""
    place = folder / "ct Flageolett"
    place.mkdir(parents=True)
    for number in range(3):
        dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        _name(dataset)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
        dataset.InstanceNumber, dataset.ImagePositionPatient[2] = number, str(number * 5.0)
        path = place / f"Serpent good {number}.dcm"
        dataset.save_as(path)
    (place / "Serpent bad.dcm").write_bytes(path.read_bytes()[:2000])
    for name in ("rtstruct.dcm", "reportsi.dcm"):
        dataset = pydicom.dcmread(get_testdata_file(name), force=True)
        _name(dataset)
        for roi in dataset.get("StructureSetROISequence", []):
            roi.ROIName = f"Ophicleide {roi.ROINumber}"
        for item in dataset.get("ContentSequence", []):
            if "TextValue" in item:
                item.TextValue = "said Regal once"
        dataset.save_as(folder / f"Serpent {name}", enforce_file_format=False)


def _name(dataset: pydicom.Dataset) -> None:
    for word, text in PLANTED.items():
        setattr(dataset, word, text)
    for word in ("SeriesDate", "ContentDate", "AcquisitionDate"):
        setattr(dataset, word, PLANTED["StudyDate"])


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: bool) -> tuple[nbformat.NotebookNode, Path]:
    folder, out = tmp_path / "place of Flageolett", tmp_path / "out"
    out.mkdir()
    planted(folder)
    for name, value in {
        "PLANTED_FOLDER": folder, "PLANTED_OUT": out, "PLANTED_PHI": "1" if shown else "0",
        "DICOMLAB_CACHE": tmp_path / "cache", "PYTHONPATH": ROOT,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(out)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources, allow_errors=True).execute()
    saved = out / "saved.ipynb"
    nbformat.write(notebook, saved)
    return notebook, saved


def said(notebook: nbformat.NotebookNode, saved: Path) -> str:
    """All that the saved file holds: its text, and the bytes of what is in it as base64."""
    parts = [saved.read_text(encoding="utf-8").encode().decode("unicode_escape", "replace")]
    for cell in notebook.cells:
        for output in cell.outputs:
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/"):
                    parts.append(base64.b64decode(data).decode("latin-1"))
    return "\n".join(parts).lower()


def hits(text: str) -> list[str]:
    return [f"{word}: {re.search(rf'.{{60}}{word}.{{20}}', text) or word}" for word in WORDS if word in text]


def errors(notebook: nbformat.NotebookNode) -> dict[int, str]:
    found = [(number, output) for number, cell in enumerate(notebook.cells) for output in cell.outputs]
    return {number: f"{one.ename}: {one.evalue}" for number, one in found if one.output_type == "error"}


def test_a_saved_notebook_holds_no_planted_name_while_phi_is_off(tmp_path, monkeypatch):  # R0.6, R15.10, S6
    notebook, saved = run(tmp_path, monkeypatch, shown=False)
    wrong = {number: text for number, text in errors(notebook).items() if number not in FAIL}
    assert not wrong and set(errors(notebook)) == FAIL
    assert "hidden-" in saved.read_text(encoding="utf-8")
    assert not hits(said(notebook, saved))
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path != saved]
    assert {"out.nii.gz", "out.nc", "found.csv"} <= {path.name for path in written}
    for path in written:
        data = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
        assert not hits(data.decode("latin-1").lower()), path
    names = " ".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "cache").rglob("*")).lower()
    assert not hits(names)
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.outputs)


def test_the_same_notebook_with_phi_on_holds_every_planted_name(tmp_path, monkeypatch):  # so that the test can fail
    notebook, saved = run(tmp_path, monkeypatch, shown=True)
    text = said(notebook, saved)
    assert not [word for word in WORDS if word not in text]
    assert set(errors(notebook)) == FAIL


#: Cells whose point is the error that they show.
FAIL = {index for index, code in enumerate(CELLS) if code.startswith(
    ("pacs.find('STUDY', PatientName", "dl.load(sorted", "everything[", "volume.dicom.suv", "raise ")
)}  # fmt: skip
