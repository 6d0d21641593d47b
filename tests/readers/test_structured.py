"""Structured reports: the content tree and the measurements as tables (PS3.3 C.17)."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile
from dicomlab.readers.structured import Report

SR, KO = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.59"
CT = slices.CT


def code(meaning, value="1", scheme="X"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def node(value_type, concept=None, *children, relationship="CONTAINS", **attributes):
    item = Dataset()
    item.RelationshipType = relationship
    if value_type:
        item.ValueType = value_type
    if concept is not None:
        item.ConceptNameCodeSequence = [concept if isinstance(concept, Dataset) else code(concept)]
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    if children:
        item.ContentSequence = list(children)
    return item


def num(concept, value, unit="mm", *children, **attributes):
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, [code(unit, unit, "UCUM")]
    return node("NUM", concept, *children, MeasuredValueSequence=[measured], **attributes)


def coded(concept, meaning, **attributes):
    return node("CODE", concept, ConceptCodeSequence=[code(meaning, "77", "SCT")], **attributes)


def image(uid, *frames, sop_class=CT, **attributes):
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sop_class, uid
    if frames:
        reference.ReferencedFrameNumber = list(frames)
    return node("IMAGE", None, ReferencedSOPSequence=[reference], **attributes)


def report(*children, sop_class=SR, number=1, **attributes):
    dataset = node("CONTAINER", "Imaging <b>Report</b>", *children)
    del dataset.RelationshipType
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, f"1.2.6.{number}", "SR"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P1", "1.2.1", "1.2.2"
    dataset.SeriesNumber, dataset.SpecificCharacterSet = 5, "ISO_IR 192"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


SITE = code("Finding Site", "363698007", "SCT")
FINDING, TRACKING = code("Finding", "121071", "DCM"), code("Tracking Identifier", "112039", "DCM")


def test_the_tree_is_a_table_in_reading_order(tmp_path):  # SPEC 12, SR
    path = slices.write(tmp_path, [report(
        node("TEXT", "Befund", TextValue="größer\r\nals"),
        node("CONTAINER", "group", coded("Finding", "Knoten"), num("Diameter", "12.5")),
        image("1.9.1", 2, 5),
        node("PNAME", "Observer", PersonName="Müller^Jürgen", relationship="HAS OBS CONTEXT"),
        node("UIDREF", "uid", UID="1.2.3"), node("DATE", "day", Date="20240131"),
    )])  # fmt: skip
    found = load(path)
    assert isinstance(found, Report) and found.heading == "Imaging <b>Report</b>"
    table = found.content
    assert table.path.tolist() == ["1", "1.1", "1.2", "1.2.1", "1.2.2", "1.3", "1.4", "1.5", "1.6"]
    assert table.value.tolist() == [
        None, "größer\r\nals", None, "Knoten", 12.5, "CT Image Storage", "Müller^Jürgen", "1.2.3", "20240131"
    ]  # fmt: skip
    assert table.value_code[3] == "77 SCT" and table.unit[4] == "mm" and table.relationship[6] == "HAS OBS CONTEXT"
    assert table.references[5] == ["1.9.1"] and table.frames[5] == [2, 5]
    assert found.text.splitlines()[1:5] == [
        r"  Befund: größer\r\nals", "  group", "    Finding: Knoten", "    Diameter: 12.5 mm"
    ]  # fmt: skip
    assert "<b>" not in found._repr_html_() and found.status == "COMPLETE, UNVERIFIED"


def test_measurements_carry_what_their_group_says(tmp_path):
    path = slices.write(tmp_path, [report(
        node("CONTAINER", "group",
             node("TEXT", TRACKING, TextValue="lesion 1", relationship="HAS OBS CONTEXT"),
             coded(FINDING, "Nodule"), coded(SITE, "Lung", relationship="HAS CONCEPT MOD"),
             image("1.9.7"),
             num("SUV", "4.5", "g/ml", coded("Derivation", "Mean", relationship="HAS CONCEPT MOD")),
             num("Diameter", "12", "mm", coded(SITE, "Left lung", relationship="HAS CONCEPT MOD"),
                 node("SCOORD", "line", image("1.9.8", relationship="SELECTED FROM"), relationship="INFERRED FROM",
                      GraphicType="POLYLINE", GraphicData=[1.5, 2, 3, 4]))),
        num("Rows", "512", relationship="HAS ACQ CONTEXT"),
    )])  # fmt: skip
    found = load(path)
    table = found.measurements
    assert table.name.tolist() == ["SUV", "Diameter"] and table.value.tolist() == [4.5, 12]
    assert table.unit.tolist() == ["g/ml", "mm"] and table.modifiers.tolist() == ["Derivation: Mean", ""]
    assert table.finding.tolist() == ["Nodule"] * 2 and table.finding_site.tolist() == ["Lung", "Left lung"]
    assert table.tracking.tolist() == ["lesion 1"] * 2 and table.references.tolist() == [["1.9.7"], ["1.9.8"]]
    line = found.content[found.content.value_type == "SCOORD"].iloc[0]
    assert line.value == "POLYLINE" and line.points.tolist() == [[1.5, 2], [3, 4]]


def test_a_number_that_is_not_there_says_why(tmp_path):
    lacking = node("NUM", "Volume", NumericValueQualifierCodeSequence=[code("Measurement failure")])
    exact = num("Mean", "0.3333")
    exact.MeasuredValueSequence[0].FloatingPointValue = 1 / 3
    found = load(slices.write(tmp_path, [report(lacking, exact)]))
    assert found.content.value.tolist()[1:] == ["Measurement failure", 1 / 3]
    assert np.isnan(found.measurements.value[0]) and found.measurements.value[1] == 1 / 3


def test_relationships_by_reference_are_named_and_circles_end(tmp_path):
    path = slices.write(tmp_path, [report(
        num("A", "1", "mm",
            node("", None, ReferencedContentItemIdentifier=[1, 2], relationship="INFERRED FROM"),
            node("", None, ReferencedContentItemIdentifier=[1, 3], relationship="INFERRED FROM")),
        num("B", "2", "mm", node("", None, ReferencedContentItemIdentifier=[1, 1], relationship="INFERRED FROM")),
        image("1.9.9"),
    )])  # fmt: skip
    found = load(path)
    assert found.content.value_type[2] == "reference" and found.content.value[2] == "1.2"
    assert found.measurements.references.tolist()[0] == ["1.9.9"]


def test_the_evidence_is_a_table_that_can_be_retrieved(tmp_path):
    def evidence(study, series, *uids):
        one, its, instances = Dataset(), Dataset(), []
        for uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, uid
            instances.append(item)
        its.SeriesInstanceUID, its.ReferencedSOPSequence = series, instances
        one.StudyInstanceUID, one.ReferencedSeriesSequence = study, [its]
        return [one]

    selection = report(
        image("1.9.1"), sop_class=KO, CurrentRequestedProcedureEvidenceSequence=evidence("1.1", "1.1.1", "1.9.1"),
        PertinentOtherEvidenceSequence=evidence("1.5", "1.5.1", "1.9.2", "1.9.3"),
    )  # fmt: skip
    table = load(slices.write(tmp_path, [selection])).references
    assert table.SOPInstanceUID.tolist() == ["1.9.1", "1.9.2", "1.9.3"]
    assert table.StudyInstanceUID.tolist() == ["1.1", "1.5", "1.5"]
    assert table.evidence.tolist() == ["current", "pertinent", "pertinent"]


def test_a_reference_to_a_whole_group_is_not_all_that_is_in_it(tmp_path):
    path = slices.write(tmp_path, [report(
        num("A", "1", "mm", node("", None, ReferencedContentItemIdentifier=[1], relationship="INFERRED FROM")),
        node("CONTAINER", "group", image("1.9.9")),
    )])  # fmt: skip
    assert load(path).measurements.references.tolist() == [[]]


def test_a_report_nested_without_end_costs_one_file(tmp_path):  # R0.8, R12.9
    deep = node("CONTAINER", "end")
    for _ in range(80):
        deep = node("CONTAINER", "deeper", deep)
    paths = slices.write(tmp_path, [report(deep), report(num("A", "1"), number=2)])
    with pytest.raises(BadFile, match="nest deeper than 64"):
        load(paths[0])
    found = load_all(paths)
    assert len(found) == 1 and found.report.severity.tolist() == ["error"]


def test_a_report_whose_content_is_no_sequence_costs_one_file(tmp_path):
    paths = slices.write(tmp_path, [report(node("TEXT", "Befund", TextValue="abcdefgh"))])
    data = paths[0].read_bytes()
    at = data.index(b"\x40\x00\x30\xa7SQ") + 12
    paths[0].write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    with pytest.raises(BadFile):
        load(paths[0])


def test_an_empty_report_has_empty_tables(tmp_path):
    found = load(slices.write(tmp_path, [report()]))
    assert len(found.content) == 1 and found.measurements.empty and found.references.empty


def test_published_reports_agree_with_other_programs():
    known = json.loads(shared("data/truth/_objects.json").read_text())["SR"]
    for name, truth in known.items():
        found = load(shared(f"data/{name}"))
        assert found.heading == truth["title"]
        assert len(found.content) - 1 == truth["content_items_pydicom"]  # it does not count the root
    assert len(known) == 5


def test_the_measurements_of_a_published_report():  # as dsrdump prints them
    found = load(shared("data/seg_sm_highdicom/sr_document_with_multiple_groups.dcm"))
    table = found.measurements
    assert table.value.tolist() == pytest.approx([-119.07385253906, 10.0, 20.0, 200.0])
    assert table.unit.tolist() == ["[hnsf'U]", "mm", "mm", "mm3"]
    assert table.finding.tolist() == ["", "Nodule", "Aorta", "Vertebra"]
    assert table.references.explode().unique().tolist() == ["1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"]
    found = load(shared("data/seg_pm_sr_dcmqi/sr-example/sr.dcm"))
    suv = found.measurements.set_index("modifiers").value
    assert suv["Derivation: Mean"] == 6.01529 and suv["Derivation: Maximum"] == 10.3814
    assert len(found.measurements) == 22 and len(found.references) == 193


def test_a_report_with_broken_numbers_is_read():
    assert load(shared("data/malformed/pydicom/reportsi_with_empty_number_tags.dcm")).heading == "Document Title"
