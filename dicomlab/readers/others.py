"""What no other reader takes and what holds no pixels: a summary, with the data set on request (R12.2)."""

from __future__ import annotations

from collections.abc import Sequence

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..datasets.uids import class_name
from .instance import WANTED, Instance, thing
from .reader import Found

_STORAGE = "1.2.840.10008.5.1.4."
DIRECTORY = "1.2.840.10008.1.3.10"


class Others:
    """Plans, registrations, raw data, maps of real world values, classes of no standard: not guessed at."""

    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """Any SOP class that is no image and no DICOMDIR."""
        image = sop_class.startswith(_STORAGE) and " Image " in class_name(sop_class)
        return bool(sop_class) and sop_class != DIRECTORY and header.pixels is None and not image

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Each instance alone."""
        why = "no volume, given as it is"
        return Found([thing(headers, row, lambda known, _: Instance(**known), why) for row in rows])
