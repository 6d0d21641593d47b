"""Nuclear medicine: axes by the vectors of Frame Increment Pointer, reconstructed slices as volumes (PS3.3 C.8.4)."""

from __future__ import annotations

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, ResultWarning

NM = "1.2.840.10008.5.1.4.1.1.20"


def nuclear(vectors, *, at=None, turn=slices.AXIAL, step=None, **attributes):
    """Frames of 4 x 3 pixels, each of its number from 0; vectors by keyword in the order of the pointer."""
    count = len(next(iter(vectors.values())))
    stored = np.repeat(np.arange(count, dtype=np.uint16), 12).reshape(-1, 3)
    dataset = slices.image(stored, None, 1, SOPClassUID=NM, Modality="NM")
    for keyword in ("ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)
    dataset.Rows, dataset.NumberOfFrames = 4, count
    dataset.FrameIncrementPointer = [Tag(keyword) for keyword in vectors]
    for keyword, values in vectors.items():
        setattr(dataset, keyword, values)
    detector = Dataset()
    if at is not None:
        detector.ImagePositionPatient, detector.ImageOrientationPatient = list(at), list(turn)
    dataset.DetectorInformationSequence = Items([detector])
    if step is not None:
        dataset.SpacingBetweenSlices = step
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def frames(found):
    return found.values[..., 0, 0].tolist()


@pytest.mark.parametrize(("step", "z", "order"), [(4.0, [10, 14, 18], [0, 1, 2]), (-4.0, [2, 6, 10], [2, 1, 0])])
def test_reconstructed_slices_lie_along_the_normal_by_the_sign_of_their_spacing(tmp_path, step, z, order):
    """PS3.3 C.8.4.15: behind the first slice where it is positive, in front of it where it is negative."""
    paths = slices.write(tmp_path, [nuclear({"SliceVector": [1, 2, 3]}, at=(-10, -20, 10), step=step)])
    volume = load(paths)
    assert volume.dims == ("z", "y", "x") and volume.z.values.tolist() == z and frames(volume) == order
    affine = [[0, 0, 0.25, -10], [0, 0.5, 0, -20], [4, 0, 0, z[0]], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.dicom.affine, affine, atol=1e-9)


def test_a_gated_reconstruction_has_its_time_slots_in_front(tmp_path):
    vectors = {"RRIntervalVector": [1] * 4, "TimeSlotVector": [1, 1, 2, 2], "SliceVector": [1, 2, 1, 2]}
    volume = load(slices.write(tmp_path, [nuclear(vectors, at=(0, 0, 0), step=3.0)]))
    assert volume.dims == ("time_slot", "z", "y", "x") and frames(volume) == [[0, 1], [2, 3]]
    assert volume.time_slot.values.tolist() == [1, 2] and volume.dicom.spacing == (3, 0.5, 0.25)


def test_slices_without_a_position_are_counted_from_the_first_and_have_no_affine(tmp_path):  # R12.5
    paths = slices.write(tmp_path, [nuclear({"SliceVector": [1, 2, 3]}, step=4.0)])
    with pytest.warns(ResultWarning, match="no position in the patient"):
        found = load(paths)
    assert found.dims == ("z", "y", "x") and found.z.values.tolist() == [0, 4, 8] and found.z.attrs["units"] == "mm"
    assert found.x.values.tolist() == [0, 0.25, 0.5]
    with pytest.raises(GeometryError, match="no geometry"):
        found.dicom.affine


def test_detectors_and_energy_windows_are_axes_in_the_order_of_the_pointer(tmp_path):
    vectors = {"EnergyWindowVector": [1, 1, 1, 2, 2, 2], "DetectorVector": [3, 2, 1, 3, 2, 1]}
    found = load(slices.write(tmp_path, [nuclear(vectors)]))
    assert found.dims == ("energy_window", "detector", "y", "x") and found.detector.values.tolist() == [1, 2, 3]
    assert frames(found) == [[2, 1, 0], [5, 4, 3]] and found.FrameNumber.values[0].tolist() == [3, 2, 1]


def test_raw_tomography_has_its_views(tmp_path):
    vectors = {"EnergyWindowVector": [1] * 4, "RotationVector": [1] * 4, "AngularViewVector": [1, 2, 3, 4]}
    assert load(slices.write(tmp_path, [nuclear(vectors)])).dims == ("angular_view", "y", "x")


def phase(count, duration, delay=0, pause=0):
    item = Dataset()
    item.NumberOfFramesInPhase, item.ActualFrameDuration = count, duration
    item.PhaseDelay, item.PauseBetweenFrames = delay, pause
    return item


def test_a_dynamic_study_has_the_times_of_its_phases(tmp_path):  # PS3.3 C.8.4.14
    vectors = {"EnergyWindowVector": [1] * 5, "DetectorVector": [1] * 5}
    vectors |= {"PhaseVector": [1, 1, 2, 2, 2], "TimeSliceVector": [1, 2, 1, 2, 3]}
    phases = Items([phase(2, 1000, pause=100), phase(3, 5000, delay=50)])
    found = load(slices.write(tmp_path, [nuclear(vectors, PhaseInformationSequence=phases)]))
    assert found.dims == ("time", "y", "x") and found.time.attrs["units"] == "ms"
    assert found.time.values.tolist() == [0, 1100, 2250, 7250, 12250] and frames(found) == [0, 1, 2, 3, 4]
    assert found.phase.values.tolist() == [1, 1, 2, 2, 2]


def test_frames_that_their_vectors_do_not_count_stand_in_the_order_of_the_file(tmp_path):
    paths = slices.write(tmp_path, [nuclear({"DetectorVector": [1, 1, 2, 2]})])
    with pytest.warns(ResultWarning, match="do not count the frames"):
        found = load(paths)
    assert found.dims == ("frame", "y", "x") and frames(found) == [0, 1, 2, 3]


def test_a_vector_of_another_length_costs_its_file(tmp_path):  # R12.9
    bad = nuclear({"SliceVector": [1, 2, 3]}, SliceVector=[1, 2])
    good = nuclear({"DetectorVector": [1, 2]})
    good.SOPInstanceUID = "1.2.3.9"
    paths = slices.write(tmp_path, [bad, good])
    with pytest.raises(BadFile, match="a vector of 2 numbers for 3 frames"):
        load(paths[0])
    assert len(load_all(paths)) == 1
