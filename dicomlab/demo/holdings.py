"""What the demo PACS holds: data sets in memory, encoded once, and an index over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from .manners import BIG_ENDIAN, EXPLICIT, IMPLICIT

UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
INDEXED = (*UNIQUE.values(), "SOPClassUID")
NO_UIDS: Mapping[str, Collection[str]] = MappingProxyType({})


@dataclass(eq=False)
class Instance:
    """One composite instance: its attributes without bulk, and the bytes of its data set on demand."""

    header: Dataset  # without pixel data
    transfer_syntax: str  # of `data`
    load: Callable[[], bytes]  # the whole data set, encoded in `transfer_syntax`
    _data: bytes | None = field(default=None, repr=False)

    @property
    def sop_class(self) -> str:
        return str(self.header.SOPClassUID)

    @property
    def uid(self) -> str:
        return str(self.header.SOPInstanceUID)

    @property
    def data(self) -> bytes:
        """The encoded data set, without file meta information."""
        if self._data is None:
            self._data = self.load()
        return self._data

    def encoded(self, transfer_syntax: str) -> bytes | None:
        """The data set in that transfer syntax; None where that takes a codec."""
        if transfer_syntax == self.transfer_syntax:
            return self.data
        if {transfer_syntax, self.transfer_syntax} <= {EXPLICIT, IMPLICIT}:
            return encode(self.dataset(), transfer_syntax)
        return None

    def dataset(self) -> Dataset:
        """A data set of its own, with pixel data and file meta information."""
        implicit = self.transfer_syntax == IMPLICIT
        little = self.transfer_syntax != BIG_ENDIAN
        dataset = pydicom.filereader.read_dataset(BytesIO(self.data), implicit, little)
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(self.transfer_syntax)
        dataset.file_meta.MediaStorageSOPClassUID = self.header.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = self.header.SOPInstanceUID
        return dataset


def encode(dataset: Dataset, transfer_syntax: str, encodings: str | list[str] = "iso8859") -> bytes:
    """The bytes of a data set in explicit or implicit VR little endian.

    `encodings` are those of its text where it names none itself.
    """
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, transfer_syntax == IMPLICIT
    write_dataset(out, dataset, encodings)
    return out.getvalue()


def pieces(dataset: Dataset, known: Container[int] = ()) -> dict[int, bytes]:
    """Each element of a data set in explicit VR little endian, by its tag, except those known already."""
    charset, found = dataset.get("SpecificCharacterSet"), {}
    encodings = convert_encodings(charset) if charset else "iso8859"
    for element in dataset:
        if element.tag not in known:
            alone = Dataset()
            alone.add(element)
            found[int(element.tag)] = encode(alone, EXPLICIT, encodings)
    return found


def joined(shared: Mapping[int, bytes], header: Dataset, stored: np.ndarray) -> bytes:
    """An image in explicit VR little endian: what it shares with the others of its series was encoded once.

    Parameters
    ----------
    shared
        Elements of the header, by `pieces`.
    stored
        Stored values (row, column) of 16 bits.
    """
    found = {**shared, **pieces(header, shared)}
    pixels = stored.tobytes()
    found[0x7FE00010] = b"\xe0\x7f\x10\0OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    return b"".join(found[tag] for tag in sorted(found))


def of_dataset(dataset: Dataset) -> Instance:
    """An instance of a pydicom data set; what is written is what it holds now."""
    meta = getattr(dataset, "file_meta", None)
    syntax = str(meta.TransferSyntaxUID) if meta is not None and "TransferSyntaxUID" in meta else EXPLICIT
    if syntax in (EXPLICIT, IMPLICIT):
        data = encode(dataset, syntax)
    else:
        out = DicomBytesIO()
        out.is_little_endian, out.is_implicit_VR = syntax != BIG_ENDIAN, False
        write_dataset(out, dataset)
        data = out.getvalue()
    return of_bytes(data, syntax)


def of_bytes(data: bytes, transfer_syntax: str) -> Instance:
    """An instance of an encoded data set, as it came over an association.

    Raises
    ------
    ValueError
        It has no SOP Class UID or no SOP Instance UID.
    """
    header = pydicom.filereader.read_dataset(
        BytesIO(data),
        transfer_syntax == IMPLICIT,
        transfer_syntax != BIG_ENDIAN,
        stop_when=lambda tag, vr, length: tag >= 0x7FE00008,
    )
    if not header.get("SOPClassUID") or not header.get("SOPInstanceUID"):
        raise ValueError("no SOP Class UID or no SOP Instance UID in the data set")
    return Instance(header, transfer_syntax, lambda: data, data)


def of_file(path: Path) -> Instance:
    """An instance of a Part 10 file, whose bytes are read when they are asked for."""
    header = pydicom.dcmread(path, stop_before_pixels=True)

    def load() -> bytes:
        data = path.read_bytes()
        length = int.from_bytes(data[140:144], "little")  # (0002,0000) is the first element, PS3.10 7.1
        return data[144 + length :]

    return Instance(header, str(header.file_meta.TransferSyntaxUID), load)


class _Place(NamedTuple):
    """Where an instance is listed."""

    number: int  # in the order in which they came
    values: dict[str, str]  # by keyword, as they were then


class Holdings:
    """Composite instances by SOP Instance UID, safe to use from several threads.

    Examples
    --------
    >>> len(Holdings.t31())
    31
    """

    def __init__(self, instances: Iterable[Instance] = ()) -> None:
        self._instances: dict[str, Instance] = {}
        self._places: dict[str, _Place] = {}  # by SOP Instance UID
        self._index: dict[str, dict[str, dict[str, Instance]]] = {word: {} for word in INDEXED}  # by keyword and value
        self._added = 0
        self._lock = threading.Lock()
        for each in instances:
            self.add(each)

    @classmethod
    def of(cls, datasets: Iterable[Dataset]) -> Holdings:
        """These data sets."""
        return cls(of_dataset(dataset) for dataset in datasets)

    @classmethod
    def t31(cls) -> Holdings:
        """The 31 instances of two patients that come with pydicom (dicomdirtests)."""
        root = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
        folders = ("77654033", "98892001", "98892003")
        files = sorted(path for name in folders for path in (root / name).rglob("*") if path.is_file())
        return cls(of_file(path) for path in files)

    @classmethod
    def phantoms(cls, seed: int = 0) -> Holdings:
        """Synthetic patients, made from a seed; see :mod:`dicomlab.demo.phantom`."""
        from .phantom import instances

        return cls(instances(seed))

    @classmethod
    def sample(cls, seed: int = 0) -> Holdings:
        """The phantoms and the 31 instances of pydicom."""
        both = cls.phantoms(seed)
        for each in cls.t31():
            both.add(each)
        return both

    def __len__(self) -> int:
        return len(self._instances)

    def __iter__(self) -> Iterator[Instance]:
        with self._lock:
            return iter(list(self._instances.values()))

    def __getitem__(self, uid: str) -> Instance:
        return self._instances[uid]

    def __contains__(self, uid: object) -> bool:
        return uid in self._instances

    def add(self, instance: Instance) -> None:
        """Keep an instance; one of the same UID is replaced."""
        uid, values = instance.uid, {word: str(instance.header.get(word, "")) for word in INDEXED}
        with self._lock:
            before = self._places.get(uid)
            self._added += before is None
            self._instances[uid] = instance
            self._places[uid] = _Place(self._added if before is None else before.number, values)
            for word, value in values.items():
                if before is not None and before.values[word] != value:
                    self._unlist(word, before.values[word], uid)
                self._index[word].setdefault(value, {})[uid] = instance

    def remove(self, uid: str) -> None:
        """Forget an instance."""
        with self._lock:
            if self._instances.pop(uid, None) is not None:
                for word, value in self._places.pop(uid).values.items():
                    self._unlist(word, value, uid)

    def _unlist(self, word: str, value: str, uid: str) -> None:
        listed = self._index[word][value]
        del listed[uid]
        if not listed:
            del self._index[word][value]

    @property
    def sop_classes(self) -> set[str]:
        """The SOP Class UIDs of what is here."""
        with self._lock:
            return set(self._index["SOPClassUID"])

    def group(self, level: str, value: str) -> list[Instance]:
        """The instances of one patient, study, series or image."""
        with self._lock:
            return list(self._index[UNIQUE[level]].get(value, {}).values())

    def groups(self, level: str, uids: Mapping[str, Collection[str]] = NO_UIDS) -> list[list[Instance]]:
        """The instances, grouped by what is one thing at that level.

        Parameters
        ----------
        level
            A key of `UNIQUE`.
        uids
            By keyword, UIDs that are asked for: groups without an instance that has one of them may be left out.
        """
        word = UNIQUE[level]
        with self._lock:
            named = dict.fromkeys(self._places[each.uid].values[word] for each in self._among(uids))
            return [list(self._index[word][value].values()) for value in named]

    def among(self, uids: Mapping[str, Collection[str]]) -> list[Instance]:
        """Instances in their order; those without the UIDs that are asked for, by keyword, may be left out."""
        with self._lock:
            return self._among(uids)

    def _among(self, uids: Mapping[str, Collection[str]]) -> list[Instance]:
        """By the key that leaves fewest: what an archive answers must not take longer the more it holds."""
        chosen: list[Instance] | None = None
        for word, wanted in uids.items():
            listed = [self._index[word].get(uid, {}) for uid in set(wanted)]
            if chosen is None or sum(map(len, listed)) < len(chosen):
                chosen = [each for instances in listed for each in instances.values()]
        if chosen is None:
            return list(self._instances.values())
        return sorted(chosen, key=lambda each: self._places[each.uid].number)
