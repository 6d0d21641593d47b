"""Encapsulated documents: the bytes of a PDF, CDA or STL, exactly, and never opened by us (PS3.3 A.45)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..errors import BadData, InvalidRequest
from .instance import WANTED, Instance, blamed, thing, whole
from .reader import Found

_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."
#: Endings of the types these classes hold; a file's own words never make a name.
_SUFFIXES = {
    "application/pdf": ".pdf", "text/xml": ".xml", "model/stl": ".stl", "application/sla": ".stl", "model/obj": ".obj",
    "model/mtl": ".mtl",
}  # fmt: skip
_TYPES = {"1": "application/pdf", "2": "text/XML", "3": "model/stl", "4": "model/obj", "5": "model/mtl"}


@dataclass(frozen=True, repr=False)
class Document(Instance):
    """A document as it was put into DICOM.

    Attributes
    ----------
    heading
        DocumentTitle, "" where there is none.
    mime_type
        MIMETypeOfEncapsulatedDocument, or that of the SOP class.
    data
        Its bytes, without padding.
    """

    heading: str
    mime_type: str
    data: bytes = field(repr=False)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the document to a file, as it is; it is not opened.

        Parameters
        ----------
        path
            The file, or a folder, in which it is named ``document`` with the ending of its type.
        overwrite
            Replace a file that is there.

        Returns
        -------
        pathlib.Path
            Where it is.

        Raises
        ------
        InvalidRequest
            The file exists, or cannot be written.
        """
        to = Path(path)
        if to.is_dir():
            to = to / f"document{_SUFFIXES.get(self.mime_type.lower(), '.bin')}"
        try:
            if overwrite:
                with NamedTemporaryFile(dir=to.parent, delete=False) as file:
                    file.write(self.data)
                os.replace(file.name, to)
            else:
                with open(to, "xb") as new:
                    new.write(self.data)
        except FileExistsError:
            raise InvalidRequest(f"{to} exists", advice="Give another name, or overwrite=True.") from None
        except OSError as error:
            raise InvalidRequest(f"{to} cannot be written: {error.strerror or error}") from None
        return to

    def facts(self) -> Iterable[tuple[str, str]]:
        """Heading, type and size."""
        yield "heading", self.heading or self.title
        yield "title", self.title
        yield "type", self.mime_type
        yield "size", f"{len(self.data):,} bytes"


class Documents:
    """Encapsulated PDF, CDA, STL, OBJ and MTL."""

    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """A class of encapsulated documents."""
        return sop_class.startswith(_DOCUMENTS)

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Each instance alone."""
        return Found([thing(headers, row, _document) for row in rows])


def _document(known: dict[str, Any], warnings: list[str]) -> Document:
    with blamed(known["path"]):
        header = whole(
            known["path"], "DocumentTitle", "MIMETypeOfEncapsulatedDocument", "EncapsulatedDocument",
            "EncapsulatedDocumentLength",
        )  # fmt: skip
        data = header.raw.get(0x00420011, ("", b""))[1]
        length = header.get("EncapsulatedDocumentLength")
        if not data:
            raise BadData("there is no document in it", tag="00420011")
        if length is None:
            warnings.append("EncapsulatedDocumentLength is missing: the last byte may be padding")
        elif not isinstance(length, int) or not 0 < length <= len(data):
            why = f"EncapsulatedDocumentLength is {length!r}, and {len(data)} bytes are there"
            raise BadData(why, tag="00420015")
        mime_type = header.text("MIMETypeOfEncapsulatedDocument")
        usual = _TYPES.get(known["sop_class"].removeprefix(_DOCUMENTS), "application/octet-stream")
        return Document(
            **known, heading=header.text("DocumentTitle"), mime_type=mime_type or usual, data=bytes(data[:length])
        )
