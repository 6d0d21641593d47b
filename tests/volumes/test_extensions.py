"""Functions of the user's own, called once for each volume; and a damaged file among good ones."""

from __future__ import annotations

import threading
import warnings

import coded
import numpy as np
import pytest
import slices
from coded import compressed

from dicomlab import load, load_all
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning


def paths(folder, series="1.2.2"):
    datasets = slices.stack((0, 2, 4), SeriesInstanceUID=series)
    for dataset in datasets:
        dataset.SOPInstanceUID = f"{series}.{dataset.InstanceNumber}"
    return slices.write(folder, datasets)


def test_an_extension_is_called_once_for_each_volume_and_gives_it_back_changed(tmp_path):  # R12.10
    seen = []

    def windowed(volume):
        seen.append(volume.attrs["SeriesInstanceUID"])
        return (volume + 1).assign_attrs(volume.attrs, thickness=3)

    def labelled(volume):
        volume.attrs["label"] = int(volume.attrs["thickness"]) + 1  # in place, and nothing is given back

    all_paths = paths(tmp_path / "a") + paths(tmp_path / "b", "1.2.9")
    found = load_all(all_paths, extensions=[windowed, labelled])
    assert sorted(seen) == ["1.2.2", "1.2.9"]
    plain = load(all_paths[:3])
    for volume in found.values():
        assert (volume.values == plain.values + 1).all() and volume.attrs["label"] == 4
        assert volume.dicom.affine.tolist() == plain.dicom.affine.tolist()
    assert load(all_paths[:3], extensions=labelled_only).attrs["label"] == 1


def labelled_only(volume):
    volume.attrs["label"] = 1


def test_an_extension_that_fails_is_named_and_changes_nothing(tmp_path):  # R12.10
    def divide_by_dose(volume):
        volume.attrs["half"] = "done"
        raise ZeroDivisionError("no dose")

    def text(volume):
        return "a volume"

    all_paths = paths(tmp_path)
    with pytest.warns(ResultWarning) as caught:
        volume = load(all_paths, extensions=[divide_by_dose, text, labelled_only])
    said = [str(one.message) for one in caught]
    assert len(said) == 2 and "divide_by_dose failed: ZeroDivisionError: no dose" in said[0]
    assert "text gave a str, not a volume" in said[1]
    assert "half" not in volume.attrs and volume.attrs["label"] == 1
    found = load_all(all_paths, extensions=[divide_by_dose])
    (line,) = (line for line in found.report.itertuples() if line.severity == "error")
    assert "divide_by_dose" in line.why and len(found) == 1 and len(line.instances) == 3


def test_extensions_are_copied_so_that_loads_share_nothing(tmp_path):  # R12.10
    class Count:
        def __init__(self):
            self.calls = 0

        def __call__(self, volume):
            self.calls += 1
            return volume.assign_attrs(calls=self.calls)

    class Locked(Count):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

    count, all_paths = Count(), paths(tmp_path)
    assert [load(all_paths, extensions=[count]).attrs["calls"] for _ in range(2)] == [1, 1] and count.calls == 0
    with pytest.raises(InvalidRequest, match=r"Locked cannot be copied: .*lock.*\. Let it open"):
        load(all_paths, extensions=[Locked()])
    with pytest.raises(InvalidRequest, match="3 is no extension"):
        load(all_paths, extensions=[3])


def test_an_extension_may_run_off_the_main_thread(tmp_path):  # R12.10
    names = []

    def note(volume):
        names.append(threading.current_thread().name)

    all_paths = paths(tmp_path)
    worker = threading.Thread(target=load, args=(all_paths,), kwargs={"extensions": [note]}, name="worker")
    worker.start()
    worker.join()
    assert names == ["worker"]


def test_damaged_frames_cost_their_files_and_the_others_are_a_volume_with_a_gap(tmp_path):  # R12.9
    all_paths = compressed(tmp_path, 8, damaged=(3, 4))
    with pytest.warns(ResultWarning) as caught:
        volume = load(all_paths)
    said = " ".join(str(one.message) for one in caught)
    for number in (3, 4):
        assert str(all_paths[number]) in said
    assert "cut off" in said and volume.z.values.tolist() == [0, 2, 4, 10, 12, 14]
    assert (volume.values[3] == coded.picture(np.uint16, 12) // 6).all()
    found = load_all(all_paths + compressed(tmp_path / "other", 3, series="1.2.7"))
    assert sorted(len(one.z) for one in found.values()) == [3, 6]
    errors = found.report[found.report.severity == "error"]
    assert errors.what.tolist() == [str(all_paths[number]) for number in (3, 4)]


def test_the_values_of_good_series_are_read_once_although_another_has_a_damaged_file(tmp_path, monkeypatch):
    from dicomlab.stacks import assemble

    good, bad = paths(tmp_path / "good", "1.2.9"), compressed(tmp_path, 3, damaged=(1,))
    calls, read = [], assemble.read
    monkeypatch.setattr(assemble, "read", lambda frames: calls.append(len(frames)) or read(frames))
    assert len(load_all([*good, *bad])) == 2
    assert sorted(calls) == [2, 3, 3]


def test_a_series_of_damaged_files_only_is_the_first_of_them(tmp_path):
    all_paths = compressed(tmp_path, 3, damaged=(0, 1, 2))
    with pytest.raises(BadFile, match=r"0.0000\.dcm: .*cut off"):
        load(all_paths)
    found = load_all(all_paths)
    assert not found and (found.report.severity == "error").sum() == 3


def test_no_warning_comes_of_extensions_that_do_their_work(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(paths(tmp_path), extensions=[labelled_only])
