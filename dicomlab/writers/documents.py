"""Encapsulated PDF documents (PS3.3 A.45.1)."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from ..errors import InvalidRequest
from .modules import began, finish, new_uid, reference
from .required import complete
from .source import Source
from .writer import Made, Order

_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"


class Documents:
    """The bytes of a PDF, or the path of one; its title is DocumentTitle."""

    kind = "DOCUMENT"
    choices: frozenset[str] = frozenset()

    def writes(self, what: Any, source: Source) -> bool:
        """Bytes and paths."""
        return isinstance(what, bytes | str | os.PathLike)

    def make(self, order: Order) -> Made:
        """One instance."""
        content = order.what
        if isinstance(content, str | os.PathLike):
            try:
                with open(os.path.expanduser(content), "rb") as file:
                    content = file.read()
            except OSError as error:
                raise InvalidRequest(f"{os.fspath(order.what)!r} cannot be read: {error.strerror}") from None
        if not isinstance(content, bytes) or not content.startswith(b"%PDF-"):
            raise InvalidRequest("this is no PDF document", advice="Give the bytes of one, or its path.")
        dataset = began(order.source, _CLASS, "DOC", dt.datetime.now())
        dataset.SOPInstanceUID, dataset.InstanceNumber = new_uid(), 1
        dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "YES"
        dataset.AcquisitionDateTime = None
        dataset.DocumentTitle = str(order.attributes.get("SeriesDescription", ""))[:1024]
        dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
        dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
        dataset.EncapsulatedDocumentLength = len(content)
        dataset.SourceInstanceSequence = [reference(one) for one in order.source.datasets]
        finish(dataset, order.attributes)
        complete(dataset)
        return Made([dataset])
