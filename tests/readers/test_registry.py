"""The registry of readers: which instance is loaded by what, and what is none's."""

from __future__ import annotations

import numpy as np
import pytest
import slices
import xarray as xr

from dicomlab import load, load_all, readers
from dicomlab.datasets.elements import tag_of
from dicomlab.errors import GeometryError, InvalidRequest, ResultWarning
from dicomlab.readers.reader import Failed, Found, Thing, title

DOSE = "1.2.840.10008.5.1.4.1.1.481.6"  # a class that no reader of ours takes


class Doses:
    """A reader from outside: the values of a dose, without geometry."""

    wanted = frozenset([tag_of("DoseGridScaling")])
    value = xr.DataArray(np.zeros(2))

    def reads(self, sop_class, header):
        return sop_class == DOSE

    def find(self, headers, rows):
        found = Found()
        for row in rows:
            name = headers[row].text("SOPInstanceUID")
            line = {"SeriesInstanceUID": "1", "images": 1, "why": ""}
            if headers[row].get("DoseGridScaling") is None:
                found.failed.append(Failed(title(headers[row]), line, [name], GeometryError("no DoseGridScaling")))
                continue
            thing = Thing(title(headers[row]), line, [name], self.make, warnings=["coarse"])
            found.things.append(thing)
        return found

    def make(self, chunks):
        return self.value


@pytest.fixture
def doses():
    reader = Doses()
    readers.register(reader)
    yield reader
    readers.READERS.remove(reader)


def dose(number, **attributes):
    (dataset,) = slices.stack([0], SOPClassUID=DOSE, Modality="RTDOSE", **attributes)
    dataset.SOPInstanceUID = f"1.2.9.{number}"
    return dataset


def test_a_reader_from_outside_is_asked_first_and_gives_its_things_and_what_it_says_of_them(tmp_path, doses):  # R12.2
    paths = slices.write(tmp_path, [dose(1, DoseGridScaling=0.5), dose(2), *slices.stack([0, 2])])
    found = load_all(paths)
    assert list(found) == ["CT 4", "RTDOSE 4"] or list(found) == ["RTDOSE 4", "CT 4"]
    said = {(line.severity, line.why) for line in found.report.itertuples()}
    assert said == {("warning", "coarse"), ("error", "no DoseGridScaling")}
    with pytest.warns(ResultWarning, match="coarse"):
        assert load(paths[0]) is doses.value
    with pytest.raises(GeometryError, match="no DoseGridScaling") as caught:
        load(paths[1])
    assert caught.value.stacks.images.tolist() == [1]


def test_without_the_reader_the_class_is_refused_by_its_name(tmp_path):  # R12.2
    paths = slices.write(tmp_path, [dose(1, DoseGridScaling=0.5)])
    with pytest.raises(InvalidRequest, match="RT Brachy Treatment Record Storage"):
        load(paths)


def test_load_gives_the_only_thing_whatever_it_is(tmp_path, doses):
    doses.value = {"a": "table"}
    paths = slices.write(tmp_path, [dose(1, DoseGridScaling=0.5)])
    with pytest.warns(ResultWarning, match="coarse"):
        assert load(paths) == {"a": "table"}
    found = load_all(paths)
    assert found["RTDOSE 4"] == {"a": "table"} and "RTDOSE 4" in repr(found)


def test_a_number_of_frames_that_is_none_costs_that_file_only(tmp_path):  # R12.9
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    data = paths[0].read_bytes()
    at = data.index(b"\x28\x00\x10\x00US")  # Rows
    paths[0].write_bytes(data[:at] + b"\x28\x00\x08\x00IS\x02\x00x " + data[at:])
    with pytest.warns(ResultWarning, match=r"0000.dcm.*'x' is no value of VR IS, in NumberOfFrames \(0028,0008\)"):
        assert load(paths).sizes["z"] == 1
