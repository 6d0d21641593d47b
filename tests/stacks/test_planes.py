"""Planes: what headers say of single-frame images, worked out for many at once."""

from __future__ import annotations

from pathlib import Path

import pydicom
import slices
from pydicom.uid import ExplicitVRBigEndian

from dicomlab import readers
from dicomlab.datasets import headers
from dicomlab.readers.images import Images
from dicomlab.stacks.imageheader import FORMAT, KEYS, SERIES
from dicomlab.stacks.planes import agreed, column, describe, frames


def images(paths):
    """Headers, rows of single-frame images among them, and why others are none."""
    read = headers.read([str(path) for path in paths], readers.wanted())
    chosen, errors = readers.choose(read)
    rows = [row for reader, members in chosen if isinstance(reader, Images) for row in members]
    return read, rows, errors


def said(plane):
    """All that a plane and its frame say, without the place in the table."""
    (frame,) = frames([plane])
    values = (plane.sop_instance, plane.number, plane.position, plane.orientation, plane.spacing, plane.rescale)
    shared = plane.shared
    texts = (shared.transfer_syntax, shared.sop_class, shared.series, shared.frame, shared.form)
    return (*values, *texts, plane.place, frame.native, frame.lut is None)


def test_what_is_said_of_a_file_does_not_depend_on_the_files_beside_it():  # R12.12
    paths = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))
    read, rows, errors = images(paths)
    planes, bad = describe(read, rows)
    errors |= bad
    assert len(planes) > 40 and len(errors) > 5
    assert {plane.row for plane in planes}.isdisjoint(errors)
    for plane in planes:
        alone, (row,), none = images([plane.path])
        ((other,), _) = describe(alone, [row])
        assert not none and said(other) == said(plane), plane.path
    for row, error in errors.items():
        alone, found, none = images([read.paths[row]])
        one = none or describe(alone, found)[1]
        assert str(one[0]) == str(error)


def test_a_column_has_the_value_of_each_plane_whatever_the_file_is_encoded_in(tmp_path):
    datasets = slices.stack([0, 2, 4, 6], EchoTime=2.5, PixelPaddingValue=7)
    datasets[1].EchoTime, datasets[2].EchoTime = 4.5, None
    paths = slices.write(tmp_path / "little", datasets[:3])
    paths += slices.write(tmp_path / "big", datasets[3:], ExplicitVRBigEndian)
    read, rows, _ = images(paths)
    planes, _ = describe(read, rows)
    for keyword in {*SERIES, *FORMAT, "PixelPaddingValue", *(key for key, *_ in KEYS)}:
        assert column(planes, keyword) == [plane.value(keyword) for plane in planes], keyword
    assert column(planes, "EchoTime") == [2.5, 4.5, None, 2.5]
    assert column(planes, "PixelPaddingValue") == [7] * 4


def test_attributes_agree_where_every_plane_has_the_same_and_any(tmp_path):
    datasets = slices.stack([0, 2, 4], KVP=120, ConvolutionKernel="B31f", BodyPartExamined="")
    datasets[1].ConvolutionKernel = "B31x"
    del datasets[2].Modality
    read, rows, _ = images(slices.write(tmp_path, datasets))
    planes, _ = describe(read, rows)
    asked = ["KVP", "ConvolutionKernel", "BodyPartExamined", "Modality", "PatientID", "EchoTime"]
    assert agreed(planes, asked) == ["KVP", "PatientID"]
    assert agreed(planes[:1], asked) == ["KVP", "ConvolutionKernel", "Modality", "PatientID"]


def test_numbers_are_read_as_written_and_refused_where_they_are_none(tmp_path):  # R12.9
    (dataset,) = slices.stack([0])
    (path,) = slices.write(tmp_path, [dataset])
    data = path.read_bytes()
    at = data.index(b"\x20\x00\x13\x00IS")  # InstanceNumber "1 "
    assert data[at + 6 : at + 10] == b"\x02\x001 "
    cases = {b"7 ": 7, b" 7": 7, b"7\0": 7, b"+7": 7, b"-7": -7, b"  ": None, b"x ": "none"}
    for written, number in cases.items():
        path.write_bytes(data[: at + 8] + written + data[at + 10 :])
        read, rows, _ = images([path])
        planes, bad = describe(read, rows)
        if number == "none":
            assert not planes and "InstanceNumber (0020,0013)" in str(bad[0])
        else:
            assert [plane.number for plane in planes] == [number]
