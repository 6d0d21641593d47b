"""Enhanced US Volume Storage: frames by their place in the volume and in time (PS3.3 A.59, C.8.24)."""

from __future__ import annotations

import enhanced
import numpy as np
import pytest
import slices
from support import words

from dicomlab import load, load_all
from dicomlab.errors import GeometryError, ResultWarning
from dicomlab.widgets.figure import view as still
from dicomlab.widgets.viewing import view

US = "1.2.840.10008.5.1.4.1.1.6.2"
TURN = [0.8, 0.6, 0.0, -0.36, 0.48, 0.8]  # rows and columns in the volume
NORMAL = np.cross(TURN[:3], TURN[3:])
SHARED = {"ImageOrientationVolume": TURN, "PixelSpacing": [0.5, 0.25], "SliceThickness": 2.0, "RescaleSlope": 1,
          "RescaleIntercept": 0, "RescaleType": "US"}  # fmt: skip
IN_VOLUME = "frame of reference of the ultrasound volume"


def frame(place, time=None, **said):
    """A frame so many steps of 0.75 mm along the normal of the planes."""
    at = np.array([-10.0, -20.0, 5.0]) + place * 0.75 * NORMAL
    offset = {} if time is None else {"TemporalPositionTimeOffset": float(time)}
    return {"ImagePositionVolume": [float(value) for value in at], **offset, **said}


def ultrasound(frames, shared=None, **attributes):
    known = {
        "SOPClassUID": US, "Modality": "US", "VolumeFrameOfReferenceUID": "1.2.77",
        "UltrasoundAcquisitionGeometry": "APEX",
    }  # fmt: skip
    dimensions = ["TemporalPositionTimeOffset", "ImagePositionVolume"]
    return enhanced.instance(frames, shared or SHARED, dimensions=dimensions, **(known | attributes))


def loaded(folder, dataset):
    with pytest.warns(ResultWarning, match=IN_VOLUME):
        return load(slices.write(folder, [dataset]))


@pytest.mark.parametrize("order", [range(4), (2, 0, 3, 1)])
def test_frames_are_stacked_by_their_place_in_the_volume(tmp_path, order):  # R12.4
    volume = loaded(tmp_path, ultrasound([frame(place) for place in order]))
    assert volume.dims == ("z", "y", "x") and volume.shape == (4, 4, 3)
    assert [value // 100 for value in volume.values[:, 0, 0]] == [list(order).index(place) for place in range(4)]
    for k, j, i in ((0, 0, 0), (3, 2, 1)):
        right, down = np.array(TURN[:3]) * 0.25 * i, np.array(TURN[3:]) * 0.5 * j
        wanted = np.array([-10.0, -20.0, 5.0]) + k * 0.75 * NORMAL + right + down
        np.testing.assert_allclose(volume.dicom.position(k, j, i), wanted, atol=1e-3)
    assert volume.dicom.frame_of_reference == "1.2.77" and volume.dicom.space == "volume"
    np.testing.assert_allclose(volume.dicom.spacing, (0.75, 0.5, 0.25), atol=1e-3)


def test_time_is_an_axis_in_seconds_and_the_kind_of_data_another(tmp_path):  # R12.11
    kinds = [(time, kind) for time in (0.5, 0.0, 0.25) for kind in ("TISSUE_INTENSITY", "FLOW_POWER")]
    frames = [frame(place, time, DataType=kind) for time, kind in kinds for place in range(2)]
    volume = loaded(tmp_path, ultrasound(frames))
    assert volume.sizes["time"] == 3 and volume.time.values.tolist() == [0, 0.25, 0.5]
    assert volume.time.attrs["units"] == "s" and set(volume.type.values) == {"TISSUE_INTENSITY", "FLOW_POWER"}
    one = volume.sel(time=0.25, type="FLOW_POWER")
    assert (one.values[:, 0, 0] // 100).tolist() == [10, 11]


def test_a_volume_without_a_patient_has_no_sides_and_is_seen_all_the_same(tmp_path):
    volume = loaded(tmp_path, ultrasound([frame(place) for place in range(4)]))
    for asked in (lambda: volume.dicom.orientation, lambda: volume.dicom.axes, lambda: volume.dicom.sel(S=3),
                  lambda: volume.dicom.regular(axes="patient")):  # fmt: skip
        with pytest.raises(GeometryError, match="relative to the volume, not to the patient"):
            asked()
    assert "not to the patient" in repr(volume.dicom)
    assert not {"S", "I", "A", "P", "L", "R"} & set(words(still(volume)))
    assert view(volume).plane == "z"
    assert volume.dicom.regular(0.5).dicom.space == "volume"
    patient = load(slices.write(tmp_path / "ct", slices.stack([0, 2])))
    with pytest.raises(GeometryError, match="not in one frame of reference"):
        volume.dicom.like(patient)


def test_places_in_the_patient_are_taken_where_every_frame_has_one(tmp_path):
    shared = SHARED | {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    frames = [frame(place, ImagePositionPatient=[-10.0, -20.0, 3.0 * place]) for place in range(3)]
    dataset = ultrasound(frames, shared, UltrasoundAcquisitionGeometry="PATIENT", PatientFrameOfReferenceSource="TABLE")
    volume = load(slices.write(tmp_path, [dataset]))
    assert volume.z.values.tolist() == [0, 3, 6] and volume.dicom.orientation == "SPL"
    assert volume.dicom.frame_of_reference == "1.2.4" and volume.dicom.space == "patient"
    dataset.PatientFrameOfReferenceSource = "ESTIMATED"
    with pytest.warns(ResultWarning, match="are estimated"):
        load(slices.write(tmp_path, [dataset]))


def test_a_missing_plane_is_a_gap_and_no_position_at_all_is_refused(tmp_path):  # R12.6
    with pytest.warns(ResultWarning) as caught:
        volume = load(slices.write(tmp_path / "gap", [ultrasound([frame(place) for place in (0, 1, 3)])]))
    assert any("1 plane missing" in str(one.message) for one in caught)
    with pytest.raises(GeometryError, match="not uniform"):
        volume.dicom.affine
    frames = [{"TemporalPositionTimeOffset": float(time)} for time in range(3)]
    with pytest.raises(GeometryError, match="3 frames without"):
        load(slices.write(tmp_path / "none", [ultrasound(frames)]))
    assert load_all(slices.write(tmp_path / "none", [ultrasound(frames)])).report.severity.tolist() == ["error"]
