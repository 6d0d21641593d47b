"""Instances written back as they are; file-sets with their DICOMDIR; zip archives (SPEC 13)."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import derived
import numpy as np
import pydicom
import pytest
import real_peers
from derived import plan
from pydicom.data import get_testdata_file
from support import require_peer

import dicomlab as dl
from dicomlab.disk import placing
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning
from dicomlab.writing import mediaset

NAMES = ["CT_small.dcm", "MR_small_RLE.dcm", "693_J2KI.dcm", "image_dfl.dcm", "reportsi.dcm", "SC_rgb_jpeg_gdcm.dcm"]


def contents(folder):
    """The bytes of each file below a folder, by its name there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_originals_are_written_back_bit_for_bit(tmp_path):  # R13.10
    sources = [get_testdata_file(name) for name in NAMES]
    table = dl.write(dl.scan(*sources), tmp_path / "out")
    here = {pydicom.dcmread(path).SOPInstanceUID: Path(path).read_bytes() for path in sources}
    assert len(table) == len(here) and all(Path(path).name == f"{uid}.dcm" for path, uid in
                                           zip(table.path, table.SOPInstanceUID, strict=True))  # fmt: skip
    for path, uid in zip(table.path, table.SOPInstanceUID, strict=True):
        assert Path(path).read_bytes() == here[uid]
    before = contents(tmp_path / "out")
    with pytest.raises(InvalidRequest, match=r"is there already\. Name another folder"):
        dl.write(sources[0], tmp_path / "out")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("place", ["cd/DICOMDIR", "cd.zip"])
def test_a_file_set_of_originals_has_them_bit_for_bit(tmp_path, place):  # R13.7, R13.10
    sources = [get_testdata_file(name) for name in NAMES]
    with pytest.warns(ResultWarning, match="made-up values for"):
        table = dl.write(sources, tmp_path / place)
    assert sorted(Path(path).read_bytes() for path in table.path) == sorted(Path(path).read_bytes() for path in sources)
    assert sorted(dl.scan(tmp_path / place).SOPInstanceUID) == sorted(table.SOPInstanceUID)
    if place.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / place) as archive:
            assert archive.testzip() is None and "DICOMDIR" in archive.namelist()
        with pytest.raises(InvalidRequest, match="there already"):
            dl.write(sources, tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == [place.partition("/")[0]]


def test_a_file_set_has_records_of_each_kind_and_other_programs_read_it(tmp_path):  # R13.7
    pytest.importorskip("highdicom")
    source, named = derived.series(tmp_path / "source"), plan(tmp_path / "plan", RTPlanLabel="A", InstanceNumber=1)
    volume, place = dl.load(source), tmp_path / "cd" / "DICOMDIR"
    dl.write([*source, named], place)
    dl.write(volume > -900, place, like=source)
    dl.write(volume.astype(float).clip(min=0), place, like=source, kind="DOSE", units="Gy", plan=named)
    dl.write(b"%PDF-1.4\n%%EOF", place, like=source)
    said = derived.dumped(place)
    for kind in ("PATIENT", "STUDY", "SERIES", "IMAGE", "RT DOSE", "RT PLAN", "ENCAP DOC"):
        assert f"[{kind}" in said, kind
    assert len(dl.scan(place)) == 8 and not derived.verified(place)


def test_adding_to_the_file_set_of_another_program_leaves_its_files_where_they_are(tmp_path):  # R13.7
    source, folder = derived.series(tmp_path / "source"), tmp_path / "cd"
    folder.mkdir()
    for number, path in enumerate(source):
        (folder / f"SLICE{number}").write_bytes(path.read_bytes())
    dcmmkdir = require_peer("dcmmkdir")
    subprocess.run([dcmmkdir, "+r", "+I", "+id", str(folder), "+D", str(folder / "DICOMDIR")], check=True, timeout=60)
    before = contents(folder)
    volume = dl.load(folder / "DICOMDIR")
    table = dl.write(volume, folder / "DICOMDIR", like=source, transfer_syntax="1.2.840.10008.1.2.5")
    after = contents(folder)
    assert {name: data for name, data in after.items() if name in before and name != "DICOMDIR"} == {
        name: data for name, data in before.items() if name != "DICOMDIR"
    }
    assert len(after) == len(before) + 4 and len(dl.scan(folder / "DICOMDIR")) == 8
    assert set(table.TransferSyntaxUID) == {"1.2.840.10008.1.2.5"} and (dl.load(table).values == volume.values).all()
    assert derived.dumped(folder / "DICOMDIR").count("[PATIENT") == 1
    again = dl.write([folder / "SLICE1", *source[:1]], folder / "DICOMDIR")  # they are there
    assert contents(folder).keys() == after.keys() and len(again) == 2


@pytest.mark.parametrize("when", ["_write", "replaced"])
def test_a_disk_that_is_full_leaves_the_file_set_as_it_was(tmp_path, monkeypatch, when):  # R13.7
    source = derived.series(tmp_path / "source")
    place = tmp_path / "cd" / "DICOMDIR"
    dl.write(source[:2], place)
    before = contents(tmp_path / "cd")
    count = iter(range(10))
    real = placing._write

    def full(path, *data):
        if when == "replaced" or next(count) == 1:
            raise OSError(28, "No space left on device")
        real(path, *data)

    monkeypatch.setattr(placing if when == "_write" else mediaset, when, full)
    volume = dl.load(source)
    with pytest.raises(InvalidRequest, match=r"nothing was added.*No space left"):
        dl.write(volume, place, like=source)
    assert contents(tmp_path / "cd") == before and len(dl.scan(place)) == 2
    with pytest.raises(InvalidRequest, match="No space left"):
        count = iter([0, 1])
        dl.write(volume, tmp_path / "new" / "deep" / "DICOMDIR", like=source)
    assert not (tmp_path / "new").exists()


def test_what_is_in_memory_is_written_as_it_is(tmp_path):  # R13.10
    dataset = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm"))
    dataset.PatientComments = "changed"
    (path,) = dl.write(dataset, tmp_path / "out").path
    back = pydicom.dcmread(path)
    assert back == dataset and back.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
    assert np.array_equal(back.pixel_array, dataset.pixel_array)


def test_to_a_peer_originals_are_stored(tmp_path):  # R13.8
    source = derived.series(tmp_path / "source")
    (tmp_path / "peer").mkdir()
    with real_peers.storescp(tmp_path / "peer") as peer, dl.connect(peer.address, allow="store") as pacs:
        assert dl.write(dl.scan(tmp_path / "source"), pacs).stored.all()
        assert len(os.listdir(peer.folder / "received")) == 4 == len(source)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"SeriesDescription": "x"}, "without changes. dl.modify"),
        ({"transfer_syntax": "1.2.840.10008.1.2"}, "without changes"),
        ({"units": "HU"}, "without changes"),
        ({"like": "source"}, "Leave out like="),
    ],
)
def test_originals_are_not_changed_on_the_way(tmp_path, more, said):
    source = derived.series(tmp_path / "source")
    with pytest.raises(InvalidRequest, match=said):
        dl.write(dl.scan(tmp_path / "source"), tmp_path / "out", **more | ({"like": source} if "like" in more else {}))
    assert not (tmp_path / "out").exists()


def test_what_is_no_instance_is_refused_and_nothing_is_written(tmp_path):
    source = derived.series(tmp_path / "source")
    (tmp_path / "bad.dcm").write_bytes(b"no DICOM at all")
    with pytest.raises(BadFile, match=r"bad\.dcm"):
        dl.write([*source, tmp_path / "bad.dcm"], tmp_path / "out")
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(source[0].read_bytes())
    with pytest.raises(InvalidRequest, match="is there twice"):
        dl.write([source[0], copy], tmp_path / "out")
    with pytest.raises(InvalidRequest, match="nothing is selected"):
        dl.write(dl.scan(tmp_path / "source").head(0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_with_names_hidden_files_are_as_they_are_and_no_message_names_a_folder(tmp_path):
    source = derived.series(tmp_path / "Müller" / "source")
    with dl.options.set(phi=False):
        rows = dl.scan(tmp_path / "Müller" / "source")
        table = dl.write(rows, tmp_path / "Müller" / "out")
        assert "00123" not in set(table.PatientID) and not table.path.str.contains("Müller").any()
        with pytest.raises(InvalidRequest) as said:
            dl.write(rows, tmp_path / "Müller" / "out")
        assert "is there already" in str(said.value) and "Müller" not in str(said.value)
        made = dl.pseudonymise(rows, tmp_path / "Müller" / "pseudonyms", map=tmp_path / "Müller" / "map.json")
    for old, path in zip(source, sorted((tmp_path / "Müller" / "out").iterdir()), strict=True):
        assert path.read_bytes() == old.read_bytes()
    assert len(made) == 4 and "00123" in (tmp_path / "Müller" / "map.json").read_text()


def test_a_writer_from_outside_is_asked_first(tmp_path, monkeypatch):  # R13.1
    from dicomlab import writers

    class Notes:
        kind, choices = "NOTE", frozenset()

        def writes(self, what, source):
            return isinstance(what, dict)

        def make(self, order):
            dataset = pydicom.Dataset()
            dataset.update(order.source.first)
            dataset.SOPInstanceUID, dataset.PatientComments = "1.2.3.4", order.what["note"]
            from dicomlab.outgoing.fileset import meta_of
            from dicomlab.writers.writer import Made

            dataset.file_meta = meta_of(dataset)
            return Made([dataset])

    monkeypatch.setattr(writers, "WRITERS", list(writers.WRITERS))
    writers.register(Notes())
    source = derived.series(tmp_path / "source", count=1)
    table = dl.write({"note": "seen"}, tmp_path / "out", like=source)
    assert pydicom.dcmread(table.path[0]).PatientComments == "seen"
    with pytest.raises(InvalidRequest, match="has no writes, make"):
        writers.register(type("Half", (), {"kind": "X", "choices": frozenset()})())
