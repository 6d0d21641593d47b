"""Writers: which kind of object an array becomes. One file a kind; `register` adds one from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..errors import InvalidRequest, did_you_mean
from .capture import Captures
from .documents import Documents
from .doses import Doses
from .images import CT, MR, PET
from .measurements import Measurements
from .multiframe import Maps, Masks
from .source import Source
from .writer import Writer

#: Asked in this order; the first that writes a thing gets it.
WRITERS: list[Writer] = [Masks(), Maps(), Doses(), CT, MR, PET, Captures(), Documents(), Measurements()]
_SHORT = {
    "SC": "SECONDARY CAPTURE", "SEG": "SEGMENTATION", "PM": "PARAMETRIC MAP", "PT": "PET", "PDF": "DOCUMENT",
    "RTDOSE": "DOSE", "RT DOSE": "DOSE", "SR": "MEASUREMENTS",
}  # fmt: skip


def register(writer: Writer) -> None:
    """Ask a writer before those of the package.

    Raises
    ------
    InvalidRequest
        It lacks a part of `Writer`.
    """
    lacks = [name for name in ("kind", "choices", "writes", "make") if not hasattr(writer, name)]
    if lacks:
        raise InvalidRequest(
            f"{type(writer).__name__} is no writer: it has no {', '.join(lacks)}",
            advice="See dicomlab.writers.writer.Writer.",
        )
    WRITERS.insert(0, writer)


def choose(what: Any, source: Source, kind: str | None) -> Writer:
    """The writer of a kind, or the one for this thing and what it is derived from.

    Raises
    ------
    InvalidRequest
        There is none.
    """
    names = list(dict.fromkeys(writer.kind for writer in WRITERS))
    if kind is not None:
        wanted = str(kind).upper().replace("_", " ")
        wanted = _SHORT.get(wanted, wanted)
        for writer in WRITERS:
            if writer.kind == wanted:
                return writer
        raise InvalidRequest(
            f"there is no kind {kind!r}{did_you_mean(wanted, names)}", advice=f"Kinds are {', '.join(names)}."
        )
    for writer in WRITERS:
        if writer.writes(what, source):
            return writer
    if isinstance(what, np.ndarray):
        raise InvalidRequest(
            "an array of numpy does not say where it lies",
            advice="Put it into the volume that it was made from: volume.copy(data=array).",
        )
    if isinstance(what, pd.DataFrame):
        raise InvalidRequest(
            "the table is none of measurements", advice="Give columns name, value and unit, one row for each number."
        )
    raise InvalidRequest(
        f"nothing writes {type(what).__name__}",
        advice="Give an array as load makes it, masks, a table of measurements, or a document.",
    )
