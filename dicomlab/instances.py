"""The instances table: one row per SOP instance in a file, whether it was received or found in a folder."""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword

#: Keywords of the instances table, in the order of its columns, after ``path``.
COLUMNS: tuple[str, ...] = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "Modality",
    "BodyPartExamined",
    "ProtocolName",
    "SOPInstanceUID",
    "SOPClassUID",
    "TransferSyntaxUID",
    "InstanceNumber",
    "ImageType",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "EchoTime",
)

#: Read and no columns: character set, and what the length of the pixel data is checked with.
_ALSO = (
    "SpecificCharacterSet",
    "BitsAllocated",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "IssuerOfPatientID",
)

#: Tags to read from a header.
WANTED: frozenset[int] = frozenset(
    int(tag)
    for tag in (tag_for_keyword(keyword) for keyword in (*COLUMNS, *_ALSO))
    if tag and tag >= 0x00080000
)
