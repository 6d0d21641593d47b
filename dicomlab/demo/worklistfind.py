"""C-FIND of the Modality Worklist (PS3.4 annex K)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence

from .matching import matches, values

if TYPE_CHECKING:
    from .request import Call

STEP = "ScheduledProcedureStepSequence"
_DATE, _TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"


def steps(call: Call, identifier: Dataset) -> list[tuple[Dataset, bool]]:
    """The scheduled steps as they are answered; no optional matching key is ignored."""
    found = []
    for entry in list(call.server.schedule or ()):
        if _fits(call, entry, identifier):
            found.append((_answer(call, identifier, entry), False))
    return found


def _fits(call: Call, entry: Dataset, identifier: Dataset) -> bool:
    manners = call.server.manners
    for key in identifier:
        if key.keyword != STEP:
            if not matches(entry, key, manners.matching):
                return False
            continue
        wanted = values(key)
        if wanted and not any(_step_fits(call, item, wanted[0]) for item in entry.get(STEP) or ()):
            return False
    return True


def _step_fits(call: Call, item: Dataset, wanted: Dataset) -> bool:
    """Does one item match all keys inside the sequence?"""
    manners = call.server.manners
    together = manners.period and all("-" in str(wanted.get(word) or "") for word in (_DATE, _TIME))
    for key in wanted:
        if together and key.keyword in (_DATE, _TIME):
            continue
        several = key.tag in item and len(values(item[key.tag])) > 1
        if values(key) and several and not manners.many_held:
            return False
        if not matches(item, key, manners.matching):
            return False
    return not together or _in_period(item, wanted)


def _in_period(item: Dataset, wanted: Dataset) -> bool:
    """Is the moment of the step within the period from the first date and time to the last?"""
    dates, times = (str(wanted[word].value).split("-") for word in (_DATE, _TIME))
    first, last = (f"{date}{time:0<6}" for date, time in zip(dates, times, strict=True))
    return first <= f"{item[_DATE].value}{item[_TIME].value:0<6}" <= last


def _answer(call: Call, identifier: Dataset, entry: Dataset) -> Dataset:
    """One response Identifier: what was asked for, as far as it is known."""
    answer = _asked(identifier, entry)
    encodings = entry.get("SpecificCharacterSet")
    if encodings and call.server.manners.character_set != "never":
        answer.SpecificCharacterSet = encodings
    return answer


def _asked(keys: Dataset, held: Dataset) -> Dataset:
    """The attributes of a data set, or of an item, that the keys name; an empty sequence asks for all of its items."""
    found = Dataset()
    for key in keys:
        if key.keyword == "SpecificCharacterSet":
            continue
        found.add(_one(key, held))
    return found


def _one(key: DataElement, held: Dataset) -> DataElement:
    if key.tag not in held:
        return DataElement(key.tag, key.VR, [] if key.VR == "SQ" else None)
    wanted = values(key)
    if key.VR == "SQ" and wanted and len(wanted[0]):
        return DataElement(key.tag, "SQ", Sequence(_asked(wanted[0], item) for item in held[key.tag].value))
    return held[key.tag]
