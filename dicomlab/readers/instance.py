"""An instance that is no array: what it is, and its data set on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import phi
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..datasets.part10 import parse_file
from ..datasets.uids import class_name
from ..errors import BadData, BadFile
from ..facts import Facts
from ..stacks.stacks import line
from .reader import Thing, title

if TYPE_CHECKING:
    from pydicom import Dataset

#: What the table of stacks shows of an instance, whatever it is.
WANTED = frozenset(
    tag_of(keyword)
    for keyword in (
        "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber",
        "SeriesDescription", "Modality", "InstanceNumber", "ContentLabel", "ContentDescription",
    )
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Instance(Facts):
    """One instance of any SOP class.

    Attributes
    ----------
    path
        Its file.
    sop_class, sop_instance, series
        SOP Class UID, SOP Instance UID, Series Instance UID; "" where the file has none.
    title
        Modality, number and description of its series.
    """

    path: str
    sop_class: str
    sop_instance: str
    series: str
    title: str

    @property
    def dataset(self) -> Dataset:
        """The whole data set as pydicom reads it, from the file each time.

        Raises
        ------
        BadFile
            It cannot be read.
        """
        import pydicom

        try:
            return phi.dataset(pydicom.dcmread(self.path, force=True))
        except Exception as error:  # pydicom raises what it meets: struct.error, ValueError, KeyError, ...
            raise BadFile(self.path, f"cannot be read: {error}") from error

    def facts(self) -> Iterable[tuple[str, str]]:
        yield "SOP class", class_name(self.sop_class) if self.sop_class else "unknown"
        yield "title", self.title
        yield "path", phi.path(self.path)


def fields(headers: Headers, row: int) -> dict[str, Any]:
    """The fields of the `Instance` in one row."""
    header = headers[row]
    return {
        "path": headers.paths[row],
        "sop_class": header.text("SOPClassUID") or headers.meta(row).sop_class,
        "sop_instance": header.text("SOPInstanceUID"),
        "series": header.text("SeriesInstanceUID"),
        "title": title(header),
    }


def thing(headers: Headers, row: int, make: Callable[[dict[str, Any], list[str]], Any], why: str = "") -> Thing:
    """One instance as a thing of its own, which ``make(fields, warnings)`` reads."""
    header = headers[row]
    known = fields(headers, row)
    name = known["sop_instance"] or known["path"]
    made = Thing(
        title=known["title"],
        line=line(header, [name]) | {"SOPClass": class_name(known["sop_class"]) if known["sop_class"] else ""},
        instances=[name],
        make=lambda chunks: make(known, made.warnings),
        why=why,
        image=False,
    )
    return made


def whole(path: str, *wanted: str | int) -> Elements:
    """Some attributes of a file, by keyword or tag, at full length, sequences with all they hold.

    Raises
    ------
    BadFile
        It cannot be read, or its data set is broken.
    """
    tags = (tag if isinstance(tag, int) else tag_of(tag) for tag in ("SpecificCharacterSet", *wanted))
    header = parse_file(path, wanted=frozenset(tags))[1]
    header.masked = phi.masking()
    return header


@contextmanager
def blamed(path: str) -> Iterator[None]:
    """Bytes within the values of a file that follow no encoding are that file's fault."""
    try:
        yield
    except BadFile:
        raise
    except BadData as error:
        raise BadFile(path, error.why, tag=error.tag, advice=error.advice) from None
