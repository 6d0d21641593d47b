"""What was made in a procedure step: items of PerformedSeriesSequence from instances, tables or by hand (R8.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..datasets.elements import tag_of
from ..errors import BadFile, InvalidRequest
from ..outgoing.outgoing import Outgoing, outgoing
from ..scanning.instances import describe
from .stepvalues import filled, missing

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset

#: Of the series, and may be given by the caller.
OF_SERIES: Final = (
    "ProtocolName", "SeriesDescription", "PerformingPhysicianName", "OperatorsName", "RetrieveAETitle",
)  # fmt: skip
IMAGES: Final = "ReferencedImageSequence"
OTHERS: Final = "ReferencedNonImageCompositeSOPInstanceSequence"
_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
_WANTED: Final = frozenset(tag_of(name) for name in (*_UIDS, *OF_SERIES, "Rows", "SpecificCharacterSet"))


def performed_series(what: Any, given: Mapping[str, Any], studies: Sequence[str]) -> list[Dataset]:
    """The items that say which series and instances were made.

    Parameters
    ----------
    what
        An instances table, or what `store` gave; paths, folders or data sets; a dict of one series by keyword.
    given
        Attributes of `OF_SERIES` that hold for each of them.
    studies
        Study Instance UIDs that they may be of.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or it is of another study.
    BadFile
        A file is no instance.
    """
    series: dict[str, Dataset] = {}
    for values in _by_hand(what) if isinstance(what, Mapping) else _instances(what):
        study = values.get("StudyInstanceUID")
        if not missing(study) and str(study) not in studies:
            raise InvalidRequest(
                f"an instance is of the study {study}, and this step of {', '.join(studies)}",
                advice="Give it the StudyInstanceUID of the scheduled step first: see dl.modify.",
            )
        uid = str(values.get("SeriesInstanceUID") or "")
        if not uid:
            raise InvalidRequest("an instance has no SeriesInstanceUID", advice="Leave it out, or give one.")
        _merge(series, _item(uid, {**values, **given}))
    return list(series.values())


def merged(before: Iterable[Dataset], after: Iterable[Dataset]) -> list[Dataset]:
    """Both, one item a series, in the order in which they came."""
    series: dict[str, Dataset] = {}
    for item in (*before, *after):
        _merge(series, item)
    return list(series.values())


def _merge(series: dict[str, Dataset], item: Dataset) -> None:
    uid = str(item.SeriesInstanceUID)
    known = series.setdefault(uid, item)
    if known is item:
        return
    for keyword in (IMAGES, OTHERS):
        here = {str(one.ReferencedSOPInstanceUID) for one in known[keyword].value}
        new = [one for one in item[keyword].value if str(one.ReferencedSOPInstanceUID) not in here]
        known[keyword].value.extend(new)
    for keyword in OF_SERIES:
        if item[keyword].value:
            known[keyword] = item[keyword]


def _item(uid: str, values: Mapping[str, Any]) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.add(filled("SeriesInstanceUID", uid, strict=True))
    for keyword in OF_SERIES:
        item.add(filled(keyword, values.get(keyword)))
    for keyword in (IMAGES, OTHERS):
        item.add(filled(keyword, values.get(keyword)))
    if not missing(values.get("SOPInstanceUID")):
        reference = Dataset()
        reference.add(filled("ReferencedSOPClassUID", values["SOPClassUID"]))
        reference.add(filled("ReferencedSOPInstanceUID", values["SOPInstanceUID"]))
        item[IMAGES if _is_image(values) else OTHERS].value.append(reference)
    return item


def _is_image(values: Mapping[str, Any]) -> bool:
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    return "Image Storage" in UID(str(values["SOPClassUID"]), IGNORE).name or not missing(values.get("Rows"))


def _by_hand(series: Mapping[str, Any]) -> list[dict[str, Any]]:
    known = (*_UIDS, *OF_SERIES, IMAGES, OTHERS)
    for keyword in series:
        if keyword not in known:
            raise InvalidRequest(f"{keyword!r} says nothing of a series here", advice=f"Give {', '.join(known)}.")
    if missing(series.get("SOPInstanceUID")) is not missing(series.get("SOPClassUID")):
        raise InvalidRequest("an instance is named by its SOPClassUID and SOPInstanceUID", advice="Give both.")
    return [dict(series)]


def _instances(what: Any) -> Iterable[dict[str, Any]]:
    """Values by keyword of each instance."""
    import pandas as pd

    if isinstance(what, pd.Series):
        what = what.to_frame().T
    if isinstance(what, pd.DataFrame):
        return _of_table(what)
    if isinstance(what, Sequence) and what and all(isinstance(one, Mapping) for one in what):
        return [values for one in what for values in _by_hand(one)]
    return _of_outgoing(outgoing(what))


def _of_table(frame: pd.DataFrame) -> list[dict[str, Any]]:
    if not len(frame):
        raise InvalidRequest("nothing is selected", advice="Choose at least one row.")
    retrieve = str(frame.attrs.get("peer") or "").partition("@")[0] if "stored" in frame else ""
    if "stored" in frame:
        frame = frame[frame["stored"].fillna(False).astype(bool)]
        if not len(frame):
            raise InvalidRequest("nothing is selected: none of these is stored", advice="Store them first.")
    if all(name in frame for name in _UIDS[1:]):
        names = [name for name in (*_UIDS, *OF_SERIES, "Rows") if name in frame]
        found = [dict(zip(names, row, strict=True)) for row in frame[names].itertuples(index=False)]
        if "path" in frame:
            found = _with_people(found, frame["path"].tolist())
    elif "path" in frame and frame["path"].notna().all():
        found = _of_outgoing(outgoing(frame))
    else:
        raise InvalidRequest(
            "these rows say neither the series of an instance nor its file",
            advice="Give the data sets or paths that were stored, or rows of instances: scan, retrieve, find('IMAGE').",
        )
    if "AffectedSOPInstanceUID" in frame:  # where the archive has it under another UID
        for values, uid in zip(found, frame["AffectedSOPInstanceUID"].tolist(), strict=True):
            values["SOPInstanceUID"] = values["SOPInstanceUID"] if missing(uid) else uid
    return [{"RetrieveAETitle": retrieve, **values} for values in found]


def _with_people(found: list[dict[str, Any]], paths: Sequence[Any]) -> list[dict[str, Any]]:
    """What an instances table has no columns for, from the first file of each series that is there."""
    from .. import phi

    seen: dict[str, dict[str, Any]] = {}
    for values, path in zip(found, paths, strict=True):
        uid = str(values["SeriesInstanceUID"])
        if uid not in seen:
            try:
                seen[uid] = _of_file(str(phi.real(path)))
            except BadFile:
                seen[uid] = {}
    people = ("PerformingPhysicianName", "OperatorsName")
    return [
        {**{name: seen[str(values["SeriesInstanceUID"])].get(name) for name in people}, **values} for values in found
    ]


def _of_outgoing(items: Sequence[Outgoing]) -> list[dict[str, Any]]:
    found = []
    for one in items:
        if one.trouble:
            raise BadFile(one.path, one.trouble)
        if one.dataset is None:
            found.append(_of_file(one.path))
        else:
            names = (*_UIDS, *OF_SERIES, "Rows")
            found.append({name: one.dataset.get(name) for name in names} | {"SOPInstanceUID": one.sop_instance})
    return found


def _of_file(path: str) -> dict[str, Any]:
    header = describe(path, _WANTED)
    return {name: header.text(name) for name in (*_UIDS, *OF_SERIES, "Rows") if header.text(name)}
