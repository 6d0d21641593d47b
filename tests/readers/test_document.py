"""Encapsulated documents: their bytes exactly, saved where the user says and never opened."""

from __future__ import annotations

import os
import stat

import pytest
import slices
from pydicom.dataset import Dataset

from dicomlab import load, load_all
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning

PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def pdf(data=b"%PDF-1.4 x", length=None, number=1, sop_class=PDF, **attributes):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, f"1.2.7.{number}", "DOC"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P1", "1.2.1", "1.2.2"
    dataset.SeriesNumber, dataset.SpecificCharacterSet = 6, "ISO_IR 192"
    dataset.DocumentTitle, dataset.MIMETypeOfEncapsulatedDocument = "../../<Befund für> DOE", "application/pdf"
    dataset.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    dataset.EncapsulatedDocumentLength = len(data) if length is None else length
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("data", [b"%PDF-1.4 odd", b"%PDF-1.4 even"])
def test_the_bytes_are_those_put_in_without_padding(tmp_path, data):  # SPEC 12, encapsulated PDF
    document = load(slices.write(tmp_path, [pdf(data)]))
    assert document.data == data and document.mime_type == "application/pdf"
    assert document.heading == "../../<Befund für> DOE"
    assert "<Befund" not in document._repr_html_() and f"{len(data)} bytes" in repr(document)
    assert str(data) not in repr(document)


def test_it_is_saved_where_the_user_says_and_replaces_nothing_unasked(tmp_path):
    document = load(slices.write(tmp_path / "in", [pdf()]))
    path = document.save(tmp_path / "mine.pdf")
    assert path.read_bytes() == document.data and not path.stat().st_mode & stat.S_IXUSR
    with pytest.raises(InvalidRequest, match="exists"):
        document.save(path)
    path.write_bytes(b"old")
    assert document.save(path, overwrite=True).read_bytes() == document.data
    assert sorted(os.listdir(tmp_path)) == ["in", "mine.pdf"]
    with pytest.raises(InvalidRequest, match="cannot be written"):
        document.save(tmp_path / "nowhere" / "mine.pdf")


def test_in_a_folder_its_name_holds_no_word_of_the_file(tmp_path):
    document = load(slices.write(tmp_path / "in", [pdf()]))
    assert document.save(tmp_path) == tmp_path / "document.pdf"
    with pytest.raises(InvalidRequest, match="exists"):
        document.save(tmp_path)
    other = load(slices.write(tmp_path / "other", [pdf(MIMETypeOfEncapsulatedDocument="x/../../sh")]))
    assert other.save(tmp_path) == tmp_path / "document.bin"


@pytest.mark.parametrize(
    ("end", "mime", "suffix"),
    [("2", "text/XML", ".xml"), ("3", "model/stl", ".stl"), ("4", "model/obj", ".obj")],
)
def test_a_document_of_each_class_has_its_type(tmp_path, end, mime, suffix):
    dataset = pdf(sop_class=f"1.2.840.10008.5.1.4.1.1.104.{end}", MIMETypeOfEncapsulatedDocument=None)
    document = load(slices.write(tmp_path, [dataset]))
    assert document.mime_type == mime and document.save(tmp_path).suffix == suffix


def test_a_document_that_does_not_say_its_length_is_whole_and_said(tmp_path):
    path = slices.write(tmp_path, [pdf(b"%PDF odd.", EncapsulatedDocumentLength=None)])
    with pytest.warns(ResultWarning, match="EncapsulatedDocumentLength is missing"):
        assert load(path).data == b"%PDF odd.\0"


@pytest.mark.parametrize(
    ("attributes", "why"),
    [({"EncapsulatedDocumentLength": 999}, "is 999, and 10 bytes"), ({"EncapsulatedDocument": None}, "no document")],
)
def test_a_broken_one_costs_one_file(tmp_path, attributes, why):  # R12.9
    paths = slices.write(tmp_path, [pdf(**attributes), pdf(number=2)])
    with pytest.raises(BadFile, match=why):
        load(paths[0])
    found = load_all(paths)
    assert len(found) == 1 and found.report.severity.tolist() == ["error"]
