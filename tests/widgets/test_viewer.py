"""The viewer without a browser: its state, the voxels that travel, planes and letters, what lies over them."""

from __future__ import annotations

import base64
import doctest
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import slices
import xarray as xr
from grids import OBLIQUE, grid
from pydicom.data import get_testdata_file
from support import ROOT

import dicomlab.widgets.overlays
import dicomlab.widgets.panes
import dicomlab.widgets.presets
import dicomlab.widgets.viewing
import dicomlab.widgets.voxels
from dicomlab import load, load_all, view
from dicomlab.errors import GeometryError, InvalidRequest, ResultWarning
from dicomlab.geometry.geometry import axis_letters
from dicomlab.widgets.panes import panes, standing
from dicomlab.widgets.presets import presets
from dicomlab.widgets.scene import Scene
from dicomlab.widgets.voxels import encoding_of


@pytest.fixture
def ct(tmp_path):
    made = slices.stack([0, 2, 4, 6], rows=5, columns=3, SeriesDescription="thorax")
    return load(slices.write(tmp_path / "ct", made))


class Browser:
    """What a browser does with the messages of a viewer, without one."""

    def __init__(self, viewer):
        self.viewer, self.got = viewer, []
        viewer.send = lambda content, buffers=(): self.got.append((json.loads(json.dumps(content)), list(buffers)))

    def ask(self, **content):
        self.viewer._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
        return self.got.pop()


# ---------------------------------------------------------------------------------------------- state
def test_index_cursor_and_position_say_one_thing(ct):  # R15.7
    viewer = view(ct)
    assert viewer.plane == "axial" and viewer.index == 2 and viewer.cursor == (2, 2, 1)
    assert viewer.position == tuple(ct.dicom.position(2, 2, 1))
    viewer.index = 3
    assert viewer.cursor == (3, 2, 1) and viewer.position[2] == 6
    viewer.plane = "coronal"
    assert viewer.index == 2
    viewer.index = 4
    assert viewer.cursor == (3, 4, 1)
    viewer.position = (-9.8, -19.4, 1.7)
    assert viewer.cursor == (1, 1, 1) and viewer.position == tuple(ct.dicom.position(1, 1, 1))
    assert viewer.value == int(ct.values[1, 1, 1])


def test_a_closed_viewer_lets_go_of_its_volume(ct):
    viewer = view(ct)
    viewer.close()
    assert repr(viewer) == "<Viewer>"
    with pytest.raises(InvalidRequest, match=r"closed. Make another"):
        viewer.figure()


def test_what_is_set_is_heard(ct):
    viewer, heard = view(ct), []
    viewer.observe(lambda change: heard.append((change.name, change.new)), ["index", "position", "window"])
    viewer.set_state({"cursor": [0, 2, 1], "window": [10.0, 20.0]})  # as the browser says it
    assert ("index", 0) in heard and ("window", (10.0, 20.0)) in heard
    assert heard[-1][0] in ("position", "window") and viewer.position[2] == 0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("index", 4, "no slice 4 along z. Give a whole number below 4"),
        ("index", -1, "no slice -1"),
        ("plane", "axal", "did you mean 'axial'"),
        ("window", "lungs", "no window 'lungs'"),
        ("window", (40, 0), "shows nothing"),
        ("cursor", (0, 0), "an index for each of z, y, x"),
        ("cursor", (0, 5, 0), "there are 5 along y"),
        ("element", (1,), "is no element"),
        ("position", (1, 2), "x, y and z of the patient"),
        ("position", (1, 2, float("nan")), "is no position"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_changes(ct, name, value, said):  # R0.4
    viewer = view(ct)
    before = getattr(viewer, name)
    with pytest.raises(InvalidRequest, match=said):
        setattr(viewer, name, value)
    assert getattr(viewer, name) == before and viewer.cursor == (2, 2, 1)


def test_what_is_no_volume_or_no_choice_is_refused_with_what_to_do(tmp_path, ct):  # R0.4
    with pytest.raises(InvalidRequest, match=r"view takes a volume, not list.*dl\.load"):
        view([1, 2])
    paths = slices.write(tmp_path / "more", slices.stack([0, 2]))
    with pytest.raises(InvalidRequest, match=r"not Volumes\. Take one of them by its name, such as 'CT 4'"):
        view(load_all(paths))
    with pytest.raises(InvalidRequest, match=r"not Structures\. It is no image; print it"):
        view(load(get_testdata_file("rtstruct.dcm")))
    with pytest.raises(InvalidRequest, match=r"no choice 'hight'.*'height'"):
        view(ct, hight=300)
    with pytest.raises(InvalidRequest, match=r"view takes no array as overlay=\. Masks are given as masks=.*dose=\.$"):
        view(ct, overlay=ct > 300)
    with pytest.raises(InvalidRequest, match=r"view cannot take opacity='half'\. Give a float\."):
        view(ct, opacity="half")
    with pytest.raises(InvalidRequest, match="memory"):
        view(ct, memory=0)
    with pytest.raises(InvalidRequest, match=r"nothing is selected.*z 0"):
        view(ct.sel(z=slice(9000, 9001)))
    with pytest.raises(GeometryError, match=r"and x and y are gone.*volume\.plot\(\)"):
        view(ct.isel(x=0, y=1))
    with pytest.raises(InvalidRequest, match=r"no grey values.*abs\(volume\)"):
        view(ct * 1j)


def test_linked_viewers_go_to_one_place_in_the_patient(ct):
    viewer = view(ct, beside=ct[::-1, ::2])
    other = viewer.beside
    viewer.position = (-9.75, -19.0, 2.0)
    assert viewer.cursor == (1, 2, 1) and other.cursor == (2, 1, 1) and other.position == viewer.position
    other.index = 0
    assert viewer.cursor == (3, 2, 1)
    assert viewer.group and viewer.group == other.group
    elsewhere = ct.copy()
    elsewhere.coords["geometry"] = ct.coords["geometry"].assign_attrs(FrameOfReferenceUID="1.2.99")
    with pytest.raises(GeometryError, match="not in one frame of reference"):
        viewer.link(view(elsewhere))
    with pytest.raises(InvalidRequest, match="cannot be linked"):
        viewer.link(viewer)


# ---------------------------------------------------------------------------------------------- nothing is kept
def test_the_saved_state_holds_no_voxel_and_nothing_of_the_patient(ct):  # R15.10
    ct.attrs |= {"PatientName": "SECRET^NAME", "PatientID": "SECRET-ID"}
    ct.attrs["SeriesDescription"] = "SECRET description"
    viewer = view(ct, masks={"SECRET mask": ct > 0})
    Browser(viewer).ask(kind="hello")
    state = viewer.get_state()
    kept = {name: value for name, value in state.items() if name not in ("_esm", "_css")}
    assert "SECRET" not in json.dumps(kept, default=str)
    assert len(json.dumps(kept, default=str)) < 2000
    assert not any(isinstance(value, bytes | memoryview | np.ndarray) for value in state.values())
    with_voxels = view(xr.concat([ct] * 40, "time"))
    assert abs(len(json.dumps(with_voxels.get_state(), default=str)) - len(json.dumps(state, default=str))) < 200


def test_where_no_widget_runs_there_are_text_and_a_picture(ct):  # R15.8
    data, _ = view(ct)._repr_mimebundle_()
    assert data["text/plain"] == (
        "<Viewer: CT 4 thorax, 4 z × 5 y × 3 x; axial slice 2, window "
        f"{ct.dicom.window[0]:g} / {ct.dicom.window[1]:g} HU>"
    )
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data
    both, _ = view(ct, beside=ct)._repr_mimebundle_()
    assert both["image/png"] and both["application/vnd.jupyter.widget-view+json"] != data


def test_exported_to_a_page_there_is_the_picture(ct):  # R15.8
    nbconvert, nbformat = pytest.importorskip("nbconvert"), pytest.importorskip("nbformat")
    output = nbformat.v4.new_output("display_data", data=view(ct)._repr_mimebundle_()[0])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("dl.view(ct)", outputs=[output])])
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert "data:image/png;base64,iVBOR" in page


def test_the_still_picture_is_of_the_time_that_is_shown(ct):
    viewer = view(xr.concat([ct, ct + 500], "time"), window="bone")
    first = viewer.figure()._repr_png_()
    viewer.element = (1,)
    assert viewer.figure()._repr_png_() != first
    assert len(viewer.figure(axis="y", slices=2).axes) == 2


def test_a_view_needs_no_pyplot_and_the_package_no_widget():
    code = (
        "import sys, dicomlab; before = {'ipywidgets', 'anywidget', 'matplotlib'} & set(sys.modules); "
        "dicomlab.view; print(before or 'none', 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "none False"


# ---------------------------------------------------------------------------------------------- what travels
def joined(viewer, layer=0):
    """All voxels of a layer, asked for in pieces of three planes, with words and values."""
    browser = Browser(viewer)
    words, _ = browser.ask(kind="hello")
    said = words["layers"][layer]
    pieces = []
    for first in range(0, said["planes"], 3):
        content, (buffer,) = browser.ask(kind="piece", layer=layer, first=first, last=first + 3)
        assert content["last"] == min(first + 3, said["planes"]) and content["first"] == first
        pieces.append(np.frombuffer(buffer, np.dtype(said["dtype"]).newbyteorder("<")))
        assert len(buffer) == (content["last"] - first) * said["bytes"]
    stored = np.concatenate(pieces)
    values = stored * said["slope"] + said["intercept"]
    return words, said, np.where(stored == said["none"], np.nan, values) if said["none"] is not None else values


def test_integers_travel_exactly_in_pieces(ct):
    words, said, values = joined(view(ct))
    assert said["dtype"] == "int16" and said["exact"] and words["whole"]
    np.testing.assert_array_equal(values, ct.values.ravel())
    assert words["title"] == "CT 4 thorax" and words["units"] == "HU" and words["shape"] == [4, 5, 3]


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "float32", "float64", "uint8", "int8", "uint16", "bool"])
def test_any_number_travels_in_16_bits_and_comes_back(ct, kind):
    volume = (ct % 100).astype(kind)
    _, said, values = joined(view(volume))
    assert said["exact"] and np.dtype(said["dtype"]).itemsize <= 2
    np.testing.assert_array_equal(values, volume.values.ravel().astype(float))


def test_fractions_come_back_to_half_a_step_and_nan_as_none(ct):
    volume = ct.astype(np.float32) * 1.7
    volume[0, 0, 0], volume[1, 0, 0] = np.nan, np.inf
    _, said, values = joined(view(volume))
    wanted = volume.values.ravel().astype(float)
    assert not said["exact"] and np.isnan(values[0]) and np.isfinite(values[1:]).all()
    finite = np.isfinite(wanted)
    assert np.abs(values - wanted)[finite].max() <= said["slope"] / 2 * 1.001
    assert said["slope"] == pytest.approx(np.ptp(wanted[finite]) / 65534)


@pytest.mark.parametrize("fill", [np.nan, 0.0, np.inf])
def test_a_volume_of_one_value_or_none_can_be_seen(ct, fill):
    _, _, values = joined(view(xr.full_like(ct, fill, dtype=float)))
    assert np.isnan(values).all() if np.isnan(fill) else (values == fill).all() or np.isinf(fill)


def test_big_endian_and_strided_arrays_travel_alike(ct):
    turned = ct.astype(">i2").transpose("x", "z", "y")[::-1]
    words, _, values = joined(view(turned))
    np.testing.assert_array_equal(values, turned.transpose("z", "y", "x").values.ravel())
    assert words["panes"][0]["left"] is False and words["axes"]["x"]["at"] == turned.x.values.tolist()


def test_a_lazy_volume_stays_lazy_but_for_what_is_asked_for(ct):
    pytest.importorskip("dask")
    asked = []

    def plane(block, block_info=None):
        asked.append(block_info[0]["chunk-location"][0])
        return block

    ct.attrs["WindowCenter"], ct.attrs["WindowWidth"] = 40.0, 400.0
    lazy = ct.chunk({"z": 1}).copy()
    lazy.data = lazy.data.map_blocks(plane, dtype=lazy.dtype)
    browser = Browser(view(lazy))
    asked.clear()
    browser.ask(kind="piece", layer=0, first=2, last=3)
    assert set(asked) == {2}


def test_above_the_limit_planes_come_one_at_a_time_and_it_is_said(ct):
    four = xr.concat([ct, ct + 7], "time")
    browser = Browser(view(four, memory=1e-4))
    words, _ = browser.ask(kind="hello")
    assert words["whole"] is False and words["limit"] == 1e-4
    for across, index, element in [("z", 3, 0), ("y", 4, 1), ("x", 0, 1)]:
        content, (buffer,) = browser.ask(kind="plane", layer=0, across=across, index=index, element=element, key="k")
        assert content["key"] == "k"
        wanted = four.isel({"time": element, across: index}).values
        np.testing.assert_array_equal(np.frombuffer(buffer, "<i2").reshape(wanted.shape), wanted)


def test_a_question_that_makes_no_sense_is_answered_in_words(ct):  # R15.11
    content, _ = Browser(view(ct)).ask(kind="plane", layer=9, across="z", index=0, element=0)
    assert content["kind"] == "error" and "IndexError" in content["text"]


def test_colour_travels_as_three_bytes(tmp_path):
    for name in ("examples_rgb_color.dcm", "examples_palette.dcm"):
        image = load(get_testdata_file(name))
        viewer = view(image)
        words, said, values = joined(viewer)
        assert words["channels"] == 3 and said["dtype"] == "uint8" and not words["presets"] and viewer.window is None
        eight = image.values if image.dtype == np.uint8 else image.values // 257
        np.testing.assert_array_equal(values, eight.ravel())
        assert viewer.value == eight[viewer.cursor[1], viewer.cursor[2]].tolist()
        with pytest.raises(InvalidRequest, match="colours have no window"):
            viewer.window = (1, 2)


def test_monochrome1_is_shown_inverted(tmp_path):
    datasets = slices.stack([0, 2], PhotometricInterpretation="MONOCHROME1")
    assert view(load(slices.write(tmp_path / "1", datasets))).invert is True
    assert view(load(slices.write(tmp_path / "2", slices.stack([0, 2])))).invert is False


def test_dimensions_in_front_have_a_slider_with_their_coordinate(ct):
    four = xr.concat([ct, ct, ct], xr.Variable("time", [0.0, 2.5, 5.0], {"units": "s"}))
    four = four.assign_coords(phase=("time", ["rest", "in", "out"])).expand_dims("echo")
    viewer = view(four)
    words, _ = Browser(viewer).ask(kind="hello")
    assert [each["name"] for each in words["front"]] == ["echo", "time"]
    assert words["front"][1]["labels"] == ["time 0 s · phase rest", "time 2.5 s · phase in", "time 5 s · phase out"]
    viewer.element = (0, 2)
    assert viewer.value == int(ct.values[viewer.cursor])


# ---------------------------------------------------------------------------------------------- planes and letters
def test_letters_are_those_of_the_real_directions_for_all_48_orders():
    opposite = dict(zip("LRPASI", "RLAPIS", strict=True))
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            columns = np.zeros((3, 3))  # of x, y, z
            for axis, (row, sign) in enumerate(zip(order, signs, strict=True)):
                columns[row, axis] = sign
            volume = grid((*columns[:, 0], *columns[:, 1]), (2, 3, 4))
            if np.linalg.det(columns) < 0:
                volume = volume[::-1]
            along = dict(zip("zyx", volume.dicom.direction.T, strict=True))
            for pane in panes(volume):
                down = along[pane.down] * (-1 if pane.up else 1)
                right = along[pane.right] * (-1 if pane.left else 1)
                top, bottom, left, side = pane.letters
                assert bottom == axis_letters(down) and side == axis_letters(right)
                assert top == opposite[bottom] and left == opposite[side]
                names = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "L": "sagittal", "R": "sagittal"}
                assert pane.name == names[axis_letters(along[pane.across])]
                if pane.across != "z":  # head or front up, right of the patient or front at the left
                    usual = {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}
                    assert (top, left) == usual[pane.name]
                else:
                    assert (pane.down, pane.right, pane.up, pane.left) == ("y", "x", False, False)


def test_an_oblique_plane_has_two_letters_and_a_picture_without_place_none(tmp_path):
    first, *_ = panes(grid(OBLIQUE, (2, 3, 4)))
    assert any(len(letters) == 2 for letters in first.letters)
    alone = slices.image(np.zeros((4, 3), np.int16), None, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    picture = load(slices.write(tmp_path, [alone]))
    assert all(pane.letters == ("", "", "", "") for pane in panes(standing(picture)))
    viewer = view(picture)
    assert viewer.plane == "z" and viewer.position is None
    assert "no position in the patient" in viewer.scene.words()["notes"]
    with pytest.raises(GeometryError, match="no position in the patient"):
        viewer.position = (0, 0, 0)


def test_a_tilted_gantry_is_drawn_sheared(tmp_path):
    datasets = slices.stack([0, 2, 4])
    for number, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [-10.0, -20.0 + 0.5 * number, 2.0 * number]
    with pytest.warns(ResultWarning, match="tilted"):
        *_, sagittal = panes(load(slices.write(tmp_path, datasets)))
    assert sagittal.name == "sagittal" and abs(sagittal.shear) == pytest.approx(0.5 / np.hypot(0.5, 2), abs=1e-4)


def test_a_single_plane_and_a_maximum_can_be_seen_and_only_the_first_has_a_place(ct):
    plane, highest = view(ct.isel(x=1)), view(ct.max("y"))  # it begins with the only plane there is
    assert plane.plane == "sagittal" and plane.position == tuple(ct.dicom.position(2, 2, 1))
    assert highest.position is None and highest.scene.panes[1].letters == ("S", "I", "R", "L")
    words = highest.scene.words()
    assert words["matrix"] is None and words["axes"]["y"]["at"] is None and words["axes"]["x"]["step"] == 0.25


def test_a_waveform_is_a_still_picture():
    found = view(load(get_testdata_file("waveform_ecg.dcm")), slices=3)
    assert found._repr_png_().startswith(b"\x89PNG")


def test_the_letters_of_a_tilted_plane_are_those_of_the_edges_of_the_screen(tmp_path):
    datasets = slices.stack([0, 2, 4])
    for number, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0.9397, -0.342]  # the gantry leans by 20 degrees
        dataset.ImagePositionPatient = [-10.0, -20.0, 2.0 * number]
    with pytest.warns(ResultWarning, match="tilted"):
        *_, sagittal = panes(load(slices.write(tmp_path, datasets)))
    assert sagittal.letters == ("SP", "IA", "AS", "PI")  # the planes are stacked along S alone


def test_a_gap_has_its_true_coordinates(ct):
    words = Scene(ct.isel(z=[0, 1, 3])).words()
    assert words["axes"]["z"]["at"] == [0, 2, 6]


# ---------------------------------------------------------------------------------------------- windows
def test_windows_are_those_of_the_modality(ct):
    ct.attrs |= {"WindowCenter": [40.0, -600.0], "WindowWidth": [400.0, 1500.0]}
    names = [name for name, *_ in presets(ct)]
    assert names == ["of the images", "of the images 2", "lung", "bone", "soft tissue", "brain", "whole range"]
    pet = ct.astype(float).assign_attrs(Modality="PT", units="GML")
    assert ("SUV 0 to 10", 5.0, 10.0) in presets(pet)
    counts = np.abs(pet).assign_attrs(Modality="PT", units="BQML")
    assert {"0 to 20 % of the highest", "0 to the highest"} <= {name for name, *_ in presets(counts)}
    mr = ct.assign_attrs(Modality="MR", units="")
    assert {"1 to 99 %", "whole range"} <= {name for name, *_ in presets(mr)}
    assert all(width > 0 for volume in (ct, pet, counts, mr) for _, _, width in presets(volume))
    assert presets(xr.zeros_like(ct).drop_attrs()) == []


# ---------------------------------------------------------------------------------------------- what lies over it
def test_masks_travel_as_bits_under_their_names(ct):
    given = {f"m{number}": ct > 100 * number - 1024 for number in range(10)}
    viewer = view(ct, masks=given)
    words, said, first = joined(viewer, 1)
    assert [mask["name"] for mask in words["masks"]] == list(given) and said["dtype"] == "uint8"
    _, _, second = joined(viewer, 2)
    for number, mask in enumerate(given.values()):
        bits = (first if number < 8 else second).astype(int) >> number % 8 & 1
        np.testing.assert_array_equal(bits, mask.values.ravel())


def test_a_segmentation_and_a_mask_of_another_grid_lie_where_they_are_in_the_patient(ct):
    mask = (ct > -800).assign_attrs(units="")
    segments = xr.concat([mask[::-1], ~mask[::-1]], xr.Variable("segment", [1, 2]))
    segments = segments.assign_coords(SegmentLabel=("segment", ["liver", "<b>rest</b>"]))
    viewer = view(ct, masks=[segments, {"again": mask[1:3]}])
    assert [each.name for each in viewer.scene.masks] == ["liver", "<b>rest</b>", "again"]
    np.testing.assert_array_equal(viewer.scene.masks[0].values, mask.values)
    np.testing.assert_array_equal(viewer.scene.masks[1].values, ~mask.values)
    assert not viewer.scene.masks[2].values[[0, 3]].any()
    assert len({each.colour for each in viewer.scene.masks}) == 3


def test_a_structure_set_brings_names_and_colours():
    structures = load(get_testdata_file("rtstruct.dcm"))
    line = next(line for line in structures.rois.itertuples() if "CLOSED_PLANAR" in line.types)
    points = np.concatenate([contour.points for contour in structures.contours(line.ROINumber)])
    volume = grid(shape=(9, 20, 20), spacing=(5, 10, 10), centre=points.mean(0), frame=line.FrameOfReferenceUID)
    masks = view(volume, masks=structures).scene.masks
    (found,) = (mask for mask in masks if mask.name == line.ROIName)
    assert found.colour == line.colour and found.values.any() and not found.values.all()
    np.testing.assert_array_equal(found.values, structures.mask(volume, line.ROINumber).values)


def test_a_dose_of_another_grid_is_resampled_and_clear_outside(ct):
    dose = (ct[1:3].astype(np.float32) + 1024).assign_attrs(units="Gy", Modality="RTDOSE")
    viewer = view(ct, dose=dose)
    words, said, values = joined(viewer, 1)
    assert words["dose"] == {"name": "dose", "units": "Gy", "highest": float(dose.max())}
    planes = values.reshape(ct.shape)
    assert np.isnan(planes[[0, 3]]).all() and np.abs(planes[1:3] - dose.values).max() <= said["slope"]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"masks": 3}, "int is no mask"),
        ({"masks": {"a": "b"}}, "str is no mask"),
        ({"dose": 3}, "int is no dose"),
    ],
)
def test_what_cannot_lie_over_it_is_refused(ct, choices, said):
    with pytest.raises(InvalidRequest, match=said):
        view(ct, **choices)
    with pytest.raises(InvalidRequest, match="such as volume > 300"):
        view(ct, masks=ct)
    with pytest.raises(InvalidRequest, match=r"isel\(time=0\)"):
        view(ct, dose=ct.expand_dims("time"))


def test_the_examples_run():
    for module in ("overlays", "panes", "presets", "viewing", "voxels"):
        failed, _ = doctest.testmod(getattr(dicomlab.widgets, module))
        assert not failed
    assert encoding_of(xr.DataArray([1, 2])).exact
