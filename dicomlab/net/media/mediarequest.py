"""A request for media: what is asked for, checked before it is sent, and what is remembered of it (PS3.4 annex S)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from ...datasets.elements import Elements, tag_of
from ...errors import InvalidRequest, did_you_mean
from ...writers.modules import element
from ..association.remembered import Remembered

MEDIA = "1.2.840.10008.5.1.1.33"
DONE, FAILURE = "DONE", "FAILURE"
STATES = ("IDLE", "PENDING", "CREATING", DONE, FAILURE)
PRIORITIES = {"low": "LOW", "medium": "MED", "high": "HIGH"}  # (2200,0020)
PROFILE = "RequestedMediaApplicationProfile"
ASKED = (
    "ExecutionStatus", "ExecutionStatusInfo", "TotalNumberOfPiecesOfMediaCreated", "FailedSOPSequence",
    "ReferencedStorageMediaSequence",
)  # fmt: skip
_YES_OR_NO = (
    "LabelUsingInformationExtractedFromInstances", "AllowMediaSplitting", "IncludeDisplayApplication",
    "PreserveCompositeInstancesAfterMediaCreation", "AllowLossyCompression",
)  # fmt: skip
#: What may be said of the media.
ATTRIBUTES = (
    "StorageMediaFileSetID", "StorageMediaFileSetUID", "LabelText", "LabelStyleSelection", "MediaDisposition",
    "BarcodeValue", "BarcodeSymbology", "IncludeNonDICOMObjects", *_YES_OR_NO,
)  # fmt: skip
_FILE_SET_ID = re.compile(r"[A-Z0-9_]{1,16}")
_PROFILE = re.compile(r"[A-Z0-9_-]{1,32}")  # those of PS3.11 have hyphens, which no other CS has
#: Execution Status Info (2100,0030), PS3.3 C.22.1.
INFO = {
    "NORMAL": "",
    "CHECK_MCD_OP": "the device needs its operator",
    "CHECK_MCD_SRV": "the device needs a service engineer",
    "DIR_PROC_ERR": "the DICOMDIR could not be made",
    "DUPL_REF_INST": "an instance is named twice",
    "INST_AP_CONFLICT": "an instance does not fit its application profile",
    "INST_OVERSIZED": "an instance is larger than a medium",
    "INSUFFIC_MEMORY": "the device has not enough memory",
    "MCD_BUSY": "the device is busy",
    "MCD_FAILURE": "the device is broken or switched off",
    "NO_INSTANCE": "an instance is not there: store it first, with store=True",
    "NOT_SUPPORTED": "an application profile or SOP class is not supported",
    "OUT_OF_SUPPLIES": "blank media or ink have run out",
    "PROC_FAILURE": "processing failure",
    "QUEUED": "waiting in the queue",
    "SET_OVERSIZED": "the instances need more than one medium, and may not be split",
    "UNKNOWN": "the device gives no reason",
}


@dataclass(frozen=True)
class MediaRequest:
    """One request for media, and what was last answered of it; UIDs and no names."""

    uid: str  # SOP Instance UID of the request
    node: str  # identity of the peer, "AET@host:port"
    at: float  # seconds since the epoch
    asked: Mapping[str, str]  # SOP Instance UID: SOP Class UID
    copies: int = 1
    priority: str = "MED"
    step: str = "requested"  # then "created", "initiated", and "cancelled" where it was
    status: str = ""  # Execution Status, "" where it is not known yet
    info: str = ""  # Execution Status Info
    pieces: int | None = None  # Total Number of Pieces of Media Created, None where the peer does not say
    failed: Mapping[str, int] = field(default_factory=dict)  # SOP Instance UID: Failure Reason (0008,1197)
    file_sets: Sequence[Sequence[str]] = ()  # Storage Media File-Set ID (0088,0130) and UID (0088,0140) of each piece

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.step == "cancelled" or self.status in (DONE, FAILURE)


class MediaRequests(Remembered[MediaRequest]):
    """A folder with a file for each request."""

    kind, name, what = MediaRequest, "media", "a request for media"


def answered(request: MediaRequest, said: Elements) -> MediaRequest:
    """With what an N-GET gave."""
    status = said.text("ExecutionStatus").strip().upper()
    pieces = said.get("TotalNumberOfPiecesOfMediaCreated")
    return replace(
        request,
        step="initiated" if status and status != "IDLE" else "created" if request.step == "requested" else request.step,
        status=FAILURE if status == "FAILED" else status,  # R10.3
        info=said.text("ExecutionStatusInfo").strip().upper(),
        pieces=pieces if isinstance(pieces, int) else None,
        failed={item.text("ReferencedSOPInstanceUID"): _reason(item) for item in _items(said, "FailedSOPSequence")},
        file_sets=[
            [item.text("StorageMediaFileSetID"), item.text("StorageMediaFileSetUID")]
            for item in _items(said, "ReferencedStorageMediaSequence")
        ],
    )


def _items(said: Elements, name: str) -> list[Elements]:
    return said.items(tag_of(name)) if tag_of(name) in said.raw else []


def _reason(item: Elements) -> int:
    found = item.get("FailureReason")
    return found if isinstance(found, int) else 0x0110  # processing failure


# -- what is sent ------------------------------------------------------------------------------------------------


def described(attributes: Mapping[str, Any]) -> Dataset:
    """What the media are to be, of `ATTRIBUTES` by keyword; True and False are YES and NO.

    Raises
    ------
    InvalidRequest
        One of them cannot be (R10.5).
    """
    made = Dataset()
    for keyword, value in attributes.items():
        made.add(element(keyword, _checked(keyword, value)))
    if any(not str(one.value).isascii() for one in made):
        made.SpecificCharacterSet = "ISO_IR 192"
    return made


def reference(uid: str, sop_class: str, profile: str) -> Dataset:
    """One item of the Referenced SOP Sequence.

    Raises
    ------
    InvalidRequest
        Its class is not known, or the profile cannot be (R10.5).
    """
    if not sop_class:
        raise InvalidRequest(
            f"the class of instance {uid} is not known",
            advice="Give rows with SOPClassUID, as store, scan and retrieve make them.",
        )
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    item.add(DataElement(tag_of(PROFILE), "CS", checked_profile(profile), validation_mode=IGNORE))
    return item


def _checked(keyword: str, value: Any) -> Any:
    if keyword not in ATTRIBUTES:
        raise InvalidRequest(
            f"{keyword!r} says nothing of media{did_you_mean(keyword, ATTRIBUTES)}",
            advice=f"There are {', '.join(ATTRIBUTES)}.",
        )
    if keyword in _YES_OR_NO:
        if not isinstance(value, bool) and value not in ("YES", "NO"):
            raise InvalidRequest(f"{keyword}={value!r}", advice="Give True or False.")
        return "YES" if value in (True, "YES") else "NO"
    if keyword == "StorageMediaFileSetID" and not (isinstance(value, str) and _FILE_SET_ID.fullmatch(value)):
        raise InvalidRequest(
            f"StorageMediaFileSetID={value!r} cannot name a medium",
            advice='It has 1 to 16 of the characters A-Z, 0-9 and _, such as "STUDY_12".',
        )
    return value


def checked_profile(value: Any) -> str:
    if not isinstance(value, str) or not _PROFILE.fullmatch(value):
        raise InvalidRequest(
            f"{value!r} is no media application profile", advice='Such are "STD-GEN-CD" and "STD-GEN-DVD-RAM".'
        )
    return value


def how_many(copies: Any) -> int:
    """A number of copies."""
    if isinstance(copies, bool) or not isinstance(copies, int) or not 1 <= copies <= 9999:
        raise InvalidRequest(f"copies={copies!r}", advice="Give a whole number of 1 or more.")
    return copies


def how_soon(priority: Any) -> str:
    """A Request Priority."""
    if priority not in PRIORITIES:
        raise InvalidRequest(f"priority={priority!r}: use {', '.join(map(repr, PRIORITIES))}")
    return PRIORITIES[priority]
