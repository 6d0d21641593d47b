"""Any number of small CT instances, in files and from a server: ``python -m benchmarks.many COUNT [PLANES [SIDE]]``.

Each is 4 kB: a header as a scanner writes it, and SIDE x SIDE pixels, default 32; PLANES, default 200, make a series.
All are one in which the numbers are replaced, so that making them costs next to nothing. The server, which prints its
port, is that of canned.py with these to give.
"""

from __future__ import annotations

import struct
import sys
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.uid import CTImageStorage

from . import canned, data
from .canned import CT_STORAGE, EXPLICIT, SUCCESS, Context, encode, message, response, word

PLANES, SIDE = 200, 32  # instances of a series; rows and columns
STUDY = "2.25.771"
#: What is replaced: each is as long as what takes its place.
_INSTANCE, _SERIES, _NUMBER, _HEIGHT = b"2.25.7720000000000", b"2.25.77300000", b"00000000", b"-0000000"


def series_uid(series: int) -> str:
    return (_SERIES[:-5] + b"%05d" % series).decode()


def instance_uid(series: int, plane: int) -> str:
    return (_INSTANCE[:-10] + b"%05d%05d" % (series, plane)).decode()


def numbers(uid: str) -> tuple[int, int]:
    """Of the series and the plane that an instance is."""
    return int(uid[-10:-5]), int(uid[-5:])


@cache
def template(side: int = SIDE) -> tuple[bytes, int]:
    """A file, and where its data set begins."""
    ds = data._header("many", CTImageStorage, STUDY, _SERIES.decode(), "MANY^ANNE", "PID-MANY")
    ds.SOPInstanceUID, ds.InstanceNumber = _INSTANCE.decode(), _NUMBER.decode()
    ds.SliceThickness, ds.PixelSpacing, ds.ImageOrientationPatient = "1", ["4", "4"], [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = ["-64", "-64", _HEIGHT.decode()]
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    pixels = np.random.default_rng(3).integers(-1000, 1000, (side, side), dtype=np.int16)
    data._pixels(ds, pixels, signed=True)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, ds.SOPInstanceUID
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    whole = file.getvalue()
    assert [whole.count(one) for one in (_INSTANCE, _SERIES, _HEIGHT)] == [2, 1, 1]
    return whole, 144 + int(struct.unpack_from("<L", whole, 140)[0])  # PS3.10 7.1


def instance(series: int, plane: int, side: int = SIDE) -> bytes:
    """The file of an instance."""
    made = template(side)[0].replace(_INSTANCE, instance_uid(series, plane).encode())
    made = made.replace(_SERIES, series_uid(series).encode()).replace(_HEIGHT, b"-%07d" % plane)
    return made.replace(b"IS\x08\x00" + _NUMBER, b"IS\x08\x00%08d" % (plane + 1))


def write(folder: Path, series: int, planes: int = PLANES) -> Path:
    """Make the file of each plane of a series in a folder of that series, where it is not there."""
    place = folder / f"{series:05d}"
    if not place.exists():
        half = folder / f"{series:05d}.part"
        half.mkdir(parents=True, exist_ok=True)
        for plane in range(planes):
            (half / f"{plane:05d}").write_bytes(instance(series, plane))
        half.rename(place)
    return place


class Many(canned.Association):
    """Gives the instances of a study; `count` of them, `length` a series, of `side` rows and columns."""

    count, length, side = 0, PLANES, SIDE

    @property
    def series(self) -> int:
        return -(-self.count // self.length)

    def planes(self, series: int) -> range:
        return range(min(self.length, self.count - series * self.length))

    def asked(self, identifier: bytes) -> list[int]:
        """The numbers of the series that an identifier names; all where it names none."""
        at = identifier.find(_SERIES[:-5])
        named = []
        while at >= 0:
            named.append(int(identifier[at + 8 : at + 13]))
            at = identifier.find(_SERIES[:-5], at + 13)
        return named or list(range(self.series))

    def find(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        pending = message(context, response(command, canned.PENDING, with_data=True))
        for series in self.asked(identifier):
            names = [(0x0020000D, b"UI", STUDY.encode()), (0x0020000E, b"UI", series_uid(series).encode())]
            if b"IMAGE" in identifier:
                level = [(0x00080016, b"UI", CT_STORAGE), (0x00080052, b"CS", b"IMAGE")]
                matches = [
                    [*level[:1], (0x00080018, b"UI", instance_uid(series, plane).encode()), *level[1:], *names]
                    for plane in self.planes(series)
                ]
            else:
                count = (0x00201209, b"IS", b"%d" % len(self.planes(series)))
                matches = [[(0x00080052, b"CS", b"SERIES"), (0x00080060, b"CS", b"CT"), *names, count]]
            self.request.sendall(b"".join(pending + canned.fragment(context, encode(match)) for match in matches))
        self.request.sendall(message(context, response(command, SUCCESS)))

    def get(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        way = next(one for one in self.contexts.values() if (one.abstract, one.syntax) == (CT_STORAGE, EXPLICIT))
        start, sent = template(self.side)[1], 0
        for series in self.asked(identifier):
            for plane in self.planes(series):
                sent += 1
                head = {0x0002: CT_STORAGE, 0x0100: b"\1\0", 0x0110: word(sent % 0xFFFF + 1), 0x0700: b"\0\0"}
                head |= {0x0800: b"\1\0", 0x1000: instance_uid(series, plane).encode()}
                data_set = memoryview(instance(series, plane, self.side))[start:]
                self.send([message(way, head), *self.fragments(way, data_set)])
                self.stored()
        counts = {0x1021: sent, 0x1022: 0, 0x1023: 0}
        said = response(command, SUCCESS) | {element: word(min(count, 0xFFFF)) for element, count in counts.items()}
        self.request.sendall(message(context, said))

    def stored(self) -> None:
        """Take a C-STORE response."""
        kind, body = self.pdu()
        assert kind == 4, "the client has gone"
        assert canned.short(canned.elements(body[6:])[0x0900]) == SUCCESS


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    Many.count, Many.length, Many.side = [*given, *(PLANES, SIDE)[len(given) - 1 :]]
    template(Many.side)
    with canned.Server() as server:
        server.RequestHandlerClass = Many
        print(server.server_address[1], flush=True)
        server.serve_forever()
