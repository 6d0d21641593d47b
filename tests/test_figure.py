"""The static picture of a volume: no pyplot, sides of the patient, window, units, and what it is not for."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
import slices
from support import ROOT

from dicomlab import load
from dicomlab.errors import InvalidRequest
from dicomlab.widgets.figure import view


def words(figure) -> list[str]:
    texts = [text.get_text() for text in figure.texts]
    return texts + [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_figure_names_sides_window_units_and_its_use(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6], SeriesDescription="thorax $5")))
    figure = view(volume, window=(40, 400))
    said = words(figure)
    assert {"A", "P", "R", "L"} <= set(said) and "window 40 / 400 HU" in said
    assert "research use, not for diagnosis" in said and "CT 4 thorax $5" in said
    assert len(figure.axes) == 4 and "z 6.0" in said
    target = io.BytesIO()
    figure.savefig(target)
    assert target.getvalue().startswith(b"\x89PNG")


def test_a_sagittal_series_has_other_sides(tmp_path):
    datasets = slices.stack([0, 2], ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    for number, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [2 * number, 0, 0]
    assert {"A", "P", "S", "I"} <= set(words(view(load(slices.write(tmp_path, datasets)))))


def test_one_slice_a_gap_a_picture_and_another_axis_can_be_seen(tmp_path):
    volume = load(slices.write(tmp_path / "a", slices.stack([0, 2, 4])))
    assert len(view(volume.isel(z=1)).axes) == 1 and len(view(volume.isel(z=[0])).axes) == 1
    assert len(view(volume.isel(z=[0, 2]), axis="y").axes) == 4
    attributes = {"ImagePositionPatient": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}
    picture = load(slices.write(tmp_path / "b", slices.stack([0], **attributes)))
    assert "A" not in words(view(picture))


def test_what_is_no_volume_is_refused():
    with pytest.raises(InvalidRequest, match="takes a volume"):
        view([1, 2])


def test_a_figure_needs_no_pyplot():
    code = "import sys, dicomlab.widgets.figure as f, matplotlib.figure; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "False"
