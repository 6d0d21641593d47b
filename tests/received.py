"""Data sets as an archive sends them, and a cache that receives them."""

from __future__ import annotations

import struct

NODE = "ARCHIVE@localhost:11112"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70"
SIDE = 16


class Where:
    """An address, as `tables.Address` is."""

    def __init__(self, patient="", study="", series="", instance=""):
        self.PatientID, self.StudyInstanceUID, self.SeriesInstanceUID = patient, study, series
        self.SOPInstanceUID = instance


def element(tag, vr, value, order="<"):
    if isinstance(value, str):
        value = value.encode()
        value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    elif isinstance(value, int):
        value = struct.pack(order + "H", value)
    group, number = tag >> 16, tag & 0xFFFF
    if vr in ("OW", "OB", "SQ"):
        return struct.pack(order + "HH2sHI", group, number, vr.encode(), 0, len(value)) + value
    return struct.pack(order + "HH2sH", group, number, vr.encode(), len(value)) + value


def data_set(uid="1.2.3.1", study="1.2.3", series="1.2.3.0", patient="P1", pixels=None, order="<", sop_class=CT):
    pixels = bytes(2 * SIDE * SIDE) if pixels is None else pixels
    values = [
        (0x00080016, "UI", sop_class),
        (0x00080018, "UI", uid),
        (0x00080060, "CS", "CT"),
        (0x00100020, "LO", patient),
        (0x0020000D, "UI", study),
        (0x0020000E, "UI", series),
        (0x00280002, "US", 1),
        (0x00280010, "US", SIDE),
        (0x00280011, "US", SIDE),
        (0x00280100, "US", 16),
        (0x7FE00010, "OW", pixels),
    ]
    return b"".join(element(*value, order) for value in values)


def receive(cache, data=None, uid="1.2.3.1", syntax=EXPLICIT, node=NODE, **options):
    data = data_set(uid) if data is None else data
    return cache.receive(node, data, sop_class=CT, sop_instance=uid, transfer_syntax=syntax, **options)


def temporary(cache):
    return list(cache.root.rglob("*.part"))
