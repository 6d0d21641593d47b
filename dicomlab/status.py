"""What a peer answered: the status of a response, its category and its meaning (PS3.7 Annex C)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from . import phi
from .markup import printable


class Category(StrEnum):
    """The status classes of PS3.7 C.1 to C.5."""

    SUCCESS = "success"
    PENDING = "pending"
    WARNING = "warning"
    FAILURE = "failure"
    CANCEL = "cancel"


_GENERAL = {
    0x0000: "success",
    0x0001: "optional attributes not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid object instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "no such action",
    0x0124: "not authorised",
    0x0131: "duplicate transaction UID",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending, some optional keys were not supported for this match",
}

_QUERY = {
    0x0000: "end of the matches",
    0xFE00: "matching was cancelled",
    0xFF00: "a match, more may follow",
    0xFF01: "a match, some optional keys were not supported for it",
    0xB001: "end, the peer's limit on responses was reached",
    0xA700: "out of resources",
    0xA900: "identifier does not match SOP class",
}
_RETRIEVE = {
    0x0000: "all sub-operations done",
    0xFE00: "sub-operations were cancelled",
    0xFF00: "sub-operations are continuing",
    0xB000: "sub-operations done, some failed or with warnings",
    0xA701: "out of resources, unable to count the matches",
    0xA702: "out of resources, unable to perform sub-operations",
    0xA801: "move destination unknown",
    0xA900: "identifier does not match SOP class",
}
_STORE = {
    0x0000: "stored",
    0xB000: "stored, data elements were coerced",
    0xB006: "stored, elements were discarded",
    0xB007: "stored, data set does not match SOP class",
}
_MPPS = {0x0106: "invalid attribute value, a new step must be IN PROGRESS"}
_PRINT = {
    0xB600: "memory allocation not supported",
    0xB601: "film session printing (collation) not supported",
    0xB602: "film session holds no image boxes (empty page)",
    0xB603: "film box holds no image boxes (empty page)",
    0xB604: "image was demagnified",
    0xB605: "requested density range was clipped",
    0xB609: "image was cropped",
    0xB60A: "image was decimated",
    0xC600: "film session has no film box",
    0xC601: "print queue is full",
    0xC602: "print queue is full",
    0xC603: "image is larger than the image box",
    0xC605: "not enough memory in the printer",
    0xC613: "combined image is larger than the image box",
    0xC616: "an earlier film box is not printed yet",
}
_MEDIA = {
    0xA510: "media creation was already initiated",
    0xC201: "media creation is already completed",
    0xC202: "media creation is in progress and cannot be interrupted",
    0xC203: "cancellation denied",
}
_PATIENT = {
    0x0116: "item not found",
    0x0117: "wrong instance",
    0x0120: "patient not found",
    0x0123: "unknown action",
    0x0211: "no permission",
}

#: Words of each service above the general ones; the names a `Status.service` may have.
_SERVICES: dict[str, dict[int, str]] = {
    "C-ECHO": {},
    "C-FIND": _QUERY,
    "C-GET": _RETRIEVE,
    "C-MOVE": _RETRIEVE,
    "C-STORE": _STORE,
    "MPPS": _MPPS,
    "PRINT": _PRINT,
    "MEDIA": _MEDIA,
    "PATIENT": _PATIENT,
}
#: First byte or nibble of a code to words, where a service gives a range.
_RANGES: dict[str, tuple[tuple[int, int, str], ...]] = {
    "C-FIND": ((0xA700, 0xA7FF, "out of resources"), (0xC000, 0xCFFF, "unable to process")),
    "C-GET": ((0xA700, 0xA7FF, "out of resources"), (0xC000, 0xCFFF, "unable to process")),
    "C-MOVE": ((0xA700, 0xA7FF, "out of resources"), (0xC000, 0xCFFF, "unable to process")),
    "C-STORE": (
        (0xA700, 0xA7FF, "out of resources"),
        (0xA900, 0xA9FF, "data set does not match SOP class"),
        (0xC000, 0xCFFF, "cannot understand"),
    ),
}


@dataclass(frozen=True)
class Status:
    """What a peer answered (PS3.7 Annex C).

    Examples
    --------
    >>> str(Status(0xA801, service="C-MOVE"))
    '0xA801 move destination unknown'
    >>> Status(0xB006, service="C-STORE").category
    <Category.WARNING: 'warning'>
    """

    code: int  # (0000,0900) Status, 0x0000 to 0xFFFF
    comment: str = ""  # (0000,0902) Error Comment, "" where the peer gave none
    offending: tuple[str, ...] = ()  # (0000,0901) Offending Element, or (0000,1005); each as "(gggg,eeee)"
    service: str = ""  # "C-FIND", "C-GET", "C-MOVE", "C-STORE", "MPPS", "PRINT", "MEDIA", "PATIENT" or ""
    error_id: int = 0  # (0000,0903) Error ID, the peer's own number for what went wrong; 0 where it gave none

    def __post_init__(self) -> None:
        if self.comment and phi.masking():
            object.__setattr__(self, "comment", phi.pseudonym(self.comment))

    @property
    def category(self) -> Category:
        """Its class; a code that is in no table is a failure."""
        code = self.code
        if code == 0x0000:
            return Category.SUCCESS
        if code in (0xFF00, 0xFF01):
            return Category.PENDING
        if code == 0xFE00:
            return Category.CANCEL
        if code == 0x0001 or 0xB000 <= code <= 0xBFFF:
            return Category.WARNING
        if code in (0x0107, 0x0116) and self.service in ("MPPS", "PRINT"):  # the service decides; R8.7
            return Category.WARNING
        return Category.FAILURE

    @property
    def meaning(self) -> str:
        """The code in words; "unknown" where neither the service nor PS3.7 Annex C has it."""
        words = _SERVICES.get(self.service, {}).get(self.code)
        if words:
            return words
        for first, last, text in _RANGES.get(self.service, ()):
            if first <= self.code <= last:
                return text
        return _GENERAL.get(self.code, "unknown")

    def __str__(self) -> str:
        text = f"0x{self.code:04X} {self.meaning}"
        if self.comment:
            text += f": {printable(self.comment)}"
        if self.offending:
            text += f" [{', '.join(self.offending)}]"
        if self.error_id:
            text += f" (error 0x{self.error_id:04X})"
        return text
