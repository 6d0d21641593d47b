"""Each kind that is written is opened by other programs, and is in the table of the documentation (SPEC 13)."""

from __future__ import annotations

import subprocess
import warnings

import derived
import gdcm
import numpy as np
import pandas as pd
import pydicom
import pytest
from derived import UNITS, plan, rotation
from support import ROOT, require_peer

import dicomlab as dl
from dicomlab.errors import ResultWarning
from dicomlab.writers import WRITERS

highdicom = pytest.importorskip("highdicom")
KINDS = [writer.kind for writer in WRITERS]
IMAGES = ("CT", "MR", "PET", "SECONDARY CAPTURE", "DOSE")


def written(folder, kind):
    """Something of that kind, and what it was made of."""
    source = derived.series(folder / "source", kind if kind in UNITS else "CT", turn=rotation(3))
    volume = dl.load(source)
    what, more = {
        "SEGMENTATION": (volume > -900, {}),
        "PARAMETRIC MAP": ((volume * 0.37).astype("float32"), {"units": "mm2/s"}),
        "DOSE": ((volume + 1100) * 0.5, {"units": "Gy", "plan": plan(folder / "plan")}),
        "SECONDARY CAPTURE": (volume, {}),
        "DOCUMENT": (b"%PDF-1.4\n%%EOF", {}),
        "MEASUREMENTS": (pd.DataFrame({"name": ["Volume"], "value": [3.5], "unit": ["ml"]}), {}),
    }.get(kind, (volume, {"units": UNITS.get(kind)}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        return what, dl.write(what, folder / "out", like=source, kind=kind, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_open_what_is_written(tmp_path, kind):  # R13.4
    what, table = written(tmp_path, kind)
    for path in table.path:
        assert "Müller^Jörg" in derived.dumped(path)
        assert not [line for line in derived.verified(path) if "QUANTITY" not in line]  # newer than it
        reader = gdcm.Reader()
        reader.SetFileName(path)
        assert reader.Read() and reader.GetFile().GetDataSet().FindDataElement(gdcm.Tag(0x0010, 0x0020))
        if kind in IMAGES:
            pictures = gdcm.ImageReader()
            pictures.SetFileName(path)
            assert pictures.Read()
    if kind in IMAGES:
        import SimpleITK as sitk

        image = sitk.ReadImage(list(table.path) if len(table) > 1 else table.path[0])
        values = sitk.GetArrayFromImage(image)
        if kind == "DOSE":
            reader = sitk.ImageFileReader()
            reader.SetFileName(table.path[0])
            reader.ReadImageInformation()
            values = values * float(reader.GetMetaData("3004|000e"))
        assert np.allclose(values, what.values, atol=max(table.attrs["max_error"] * 1.01, 1e-4))
    elif kind == "SEGMENTATION":
        found = highdicom.seg.segread(table.path[0])
        uids = [uid for *_, uid in found.get_source_image_uids()]
        frames = found.get_pixels_by_source_instance(uids, segment_numbers=[1])
        assert int(frames.sum()) == int(what.sum())
    elif kind == "PARAMETRIC MAP":
        dataset = pydicom.dcmread(table.path[0])
        for group, frame in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
            corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            away = [np.linalg.norm(what.dicom.position(plane, 0, 0) - corner) for plane in range(len(what))]
            assert min(away) < 1e-3 and np.array_equal(frame, what.values[int(np.argmin(away))])
    elif kind == "MEASUREMENTS":
        (group,) = highdicom.sr.srread(table.path[0]).content.get_image_measurement_groups()
        assert [one.value for one in group.get_measurements()] == [3.5]
        said = subprocess.run([require_peer("dsrdump"), table.path[0]], capture_output=True, timeout=60)
        assert said.returncode == 0 and b"3.5" in said.stdout


def test_the_table_of_the_documentation_has_every_kind():
    text = (ROOT / "docs" / "writing.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in text] == []
