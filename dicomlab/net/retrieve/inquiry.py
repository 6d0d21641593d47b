"""The questions to an archive about what it holds of what is asked for: as few C-FINDs as are sure to do (R5.11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from ...datasets.elements import Elements
from ...errors import (
    AssociationAborted,
    AssociationRejected,
    BadData,
    ConnectError,
    ConnectionLost,
    DicomlabError,
    DimseTimeout,
    InvalidRequest,
    StatusError,
)
from ...level import QueryLevel
from ...queries.identifier import PATIENT_ROOT, STUDY_ROOT, identifiers
from ...tables.tables import Address
from ..association import contexts
from ..association.association import Association, associate
from ..association.deadline import Deadline
from ..association.node import Node
from ..association.operation import Course, matches
from ..association.parallel import Parallel
from .holdings import UIDS_PER_REQUEST, Held, Holdings, Short

_IMAGE_KEYS = ("SOPInstanceUID", "SOPClassUID")
_SIZE_KEYS = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames")  # an archive may open every file
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
_ABOVE = ("StudyInstanceUID", "SeriesInstanceUID")
_STUDY_KEYS = ("StudyInstanceUID",)
RELATIONAL = b"\x01"  # byte 1 of the extended negotiation of C-FIND (PS3.4 C.5.1)
PIECE = 8  # studies that a further association is worth
_HEADER = 2_000  # bytes of an instance beside its pixel data, as an estimate


@dataclass(frozen=True)
class Wish:
    """What is asked for of one study, or of a patient."""

    patient: str  # PatientID, in Patient Root
    study: str  # StudyInstanceUID; "" is every study of the patient
    series: dict[str, list[str]] = field(default_factory=dict)  # by SeriesInstanceUID the SOPInstanceUIDs; "" is any

    def of(self, series: str) -> set[str]:
        """The SOP Instance UIDs that are asked for of a series; "" among them is all of it."""
        return {*self.series.get(series, ()), *self.series.get("", ())}


def ask(node: Node, addresses: Sequence[Address], deadline: Deadline, *, sizes: bool = False) -> Holdings:
    """Ask the archive, by C-FIND down to IMAGE level, what there is; and how large, on request.

    An archive that does not answer queries gives `Holdings` that are not known; one that cannot be reached raises.
    Many studies are asked for on as many associations as the node allows.
    """
    holdings = Holdings()
    try:
        for model in (STUDY_ROOT, PATIENT_ROOT):
            chosen = [item for item in addresses if (item.level is QueryLevel.PATIENT) is (model == PATIENT_ROOT)]
            if chosen:
                placed = _placed(node, model, chosen, deadline, holdings)
                _gather(node, model, wishes(placed), deadline, holdings, sizes)
                _order(holdings, placed)
    except DicomlabError as error:
        if isinstance(error, ConnectError | AssociationRejected | DimseTimeout | InvalidRequest):
            raise
        holdings.known, holdings.why = False, str(error)
    return holdings


def wishes(addresses: Sequence[Address]) -> list[Wish]:
    """What is asked for, study by study.

    Examples
    --------
    >>> one, = wishes([Address("", "1", "1.1"), Address("", "1", "1.2", "1.2.3"), Address("", "1", "1.2", "1.2.4")])
    >>> one.study, one.series
    ('1', {'1.1': [''], '1.2': ['1.2.3', '1.2.4']})
    """
    found: dict[tuple[str, str], Wish] = {}
    for item in addresses:
        patient = "" if item.StudyInstanceUID else item.PatientID  # no key above the study in Study Root
        wish = found.setdefault((patient, item.StudyInstanceUID), Wish(patient, item.StudyInstanceUID))
        wish.series.setdefault(item.SeriesInstanceUID, []).append(item.SOPInstanceUID)
    return list(found.values())


def _placed(
    node: Node, model: str, addresses: Sequence[Address], deadline: Deadline, holdings: Holdings
) -> list[Address]:
    """The addresses with their study and series; where one names none, the archive is asked for them (R5.22).

    That is a relational query. With its answer the retrieve itself is by the baseline rules, with every key above.
    """
    if all(item.StudyInstanceUID or item.level is QueryLevel.PATIENT for item in addresses):
        return list(addresses)
    with associate(node, contexts.query(model), deadline, phase="C-FIND", extended={model: RELATIONAL}) as association:
        inquiry = _Inquiry(association, model)
        return [
            one for item in addresses for one in ([item] if item.StudyInstanceUID else inquiry.place(item, holdings))
        ]


def _gather(
    node: Node, model: str, wanted: Sequence[Wish], deadline: Deadline, holdings: Holdings, sizes: bool
) -> None:
    """Ask for each of them, and join what there is in their order."""
    parts: dict[int, Holdings] = {}
    done: set[int] = set()

    def job(waiting: Iterator[int], deadline: Deadline, stands: Callable[[], None]) -> None:
        with associate(node, contexts.query(model), deadline, phase="C-FIND") as association:
            stands()
            inquiry = _Inquiry(association, model, sizes=sizes)
            for number in waiting:
                parts[number] = Holdings()
                inquiry.ask(wanted[number], parts[number])
                done.add(number)

    count = min(node.associations, -(-len(wanted) // PIECE))
    several = Parallel(range(len(wanted)), count, deadline, job)
    try:
        several.run()
    except (ConnectionLost, AssociationAborted):  # the archive may cut off those beside the first (R1.20)
        rest = [number for number in range(len(wanted)) if number not in done]
        if several.stood < 2 or not rest:
            raise
        Parallel(rest, 1, deadline, job).run()
    finally:
        for number in sorted(parts):
            holdings.join(parts[number])


def _order(holdings: Holdings, addresses: Sequence[Address]) -> None:
    """Put the instances in the order of what names them."""
    if len(addresses) < 2:
        return
    ranks: dict[tuple[str, str, str], int] = {}
    for item in addresses:
        ranks.setdefault((item.StudyInstanceUID, item.SeriesInstanceUID, item.SOPInstanceUID), len(ranks))

    def rank(held: Held) -> float:
        study, series, instance = held.StudyInstanceUID, held.SeriesInstanceUID, held.SOPInstanceUID
        names = ((study, series, instance), (study, series, ""), (study, "", ""), (study, "", instance))
        return min(ranks.get(name, inf) for name in names)

    holdings.instances = {held.SOPInstanceUID: held for held in sorted(holdings.instances.values(), key=rank)}


class _Inquiry:
    """The questions on one association."""

    def __init__(self, association: Association, model: str, *, sizes: bool = False) -> None:
        self._association, self._model = association, model
        self._keys = (*_IMAGE_KEYS, *_SIZE_KEYS) if sizes else _IMAGE_KEYS
        self._lists = True  # the archive answers lists of UIDs

    def place(self, address: Address, holdings: Holdings) -> list[Address]:
        """An address without its study as the archive knows it."""
        named = address.level.unique_key
        uid = getattr(address, named)
        node = self._association.node
        if not (self._association.accepted.agreed(self._model, 1) or node.quirks.relational):
            raise InvalidRequest(
                f"{named} {uid} is given without its StudyInstanceUID, and this archive agrees to no relational "
                "queries",
                peer=node.identity,
                phase="C-FIND",
                advice="Keep the StudyInstanceUID with it; or say quirks.relational in the node's entry, if the "
                "archive answers such queries all the same.",
            )
        found = self._find(address.level, {named: uid}, _ABOVE, holdings, hierarchical=False)
        return [
            replace(address, **{word: record.text(word) for word in _ABOVE if record.text(word)})
            for record in found
            if record.text("StudyInstanceUID") and record.text(named) in ("", uid)
        ]

    def ask(self, wish: Wish, holdings: Holdings) -> None:
        """Add what there is: a C-FIND for the series of a study, and one for the images of each."""
        above = {"PatientID": wish.patient} if self._model == PATIENT_ROOT else {}
        studies = [wish.study]
        if not wish.study:
            found = self._find(QueryLevel.STUDY, above, _STUDY_KEYS, holdings)
            studies = [uid for record in found if (uid := record.text("StudyInstanceUID"))]
        for study in dict.fromkeys(studies):
            named = {**above, "StudyInstanceUID": study}
            if "" in wish.series:
                records = self._find(QueryLevel.SERIES, named, _SERIES_KEYS, holdings)
            else:
                records = self._named(QueryLevel.SERIES, named, list(wish.series), _SERIES_KEYS, holdings)
            seen: dict[str, Elements] = {}
            for record in records:
                seen.setdefault(record.text("SeriesInstanceUID"), record)
            for uid, record in seen.items():
                if uid and (instances := wish.of(uid)):
                    holdings.modalities.add(record.text("Modality"))
                    self._images({**named, "SeriesInstanceUID": uid}, instances, _stated(record), holdings)

    def _images(self, above: dict[str, str], wanted: set[str], stated: int | None, holdings: Holdings) -> None:
        """Add the instances of one series that are asked for."""
        study, series = above["StudyInstanceUID"], above["SeriesInstanceUID"]
        if "" in wanted:
            images = self._find(QueryLevel.IMAGE, above, self._keys, holdings)
            _compare(holdings, study, series, stated, {image.text("SOPInstanceUID") for image in images})
        else:
            images = self._named(QueryLevel.IMAGE, above, sorted(wanted), self._keys, holdings)
        kinds: dict[str, str] = {}  # what many say is in memory once
        for image in images:
            uid, kind = image.text("SOPInstanceUID"), image.text("SOPClassUID")
            if uid and not wanted.isdisjoint(("", uid)):
                held = Held(uid, study, series, kinds.setdefault(kind, kind), _size(image))
                holdings.instances.setdefault(uid, held)

    def _named(
        self, level: QueryLevel, above: dict[str, str], uids: Sequence[str], returned: Sequence[str], holdings: Holdings
    ) -> list[Elements]:
        """What has these UIDs: by a list (PS3.4 C.2.2.2.2), and one by one what the answer to that leaves out.

        Not every archive knows lists, or answers long ones whole.
        """
        word = level.unique_key
        found: dict[str, Elements] = {}
        for at in range(0, len(uids), UIDS_PER_REQUEST):
            if len(uids) == 1 or not self._lists:
                break
            aside = Holdings()  # what is doubtful of a list leaves no doubt: the rest is asked for alone
            try:
                records = self._find(level, {**above, word: list(uids[at : at + UIDS_PER_REQUEST])}, returned, aside)
            except StatusError:
                self._lists = False
                break
            for record in records:
                found.setdefault(record.text(word), record)
        for uid in uids:
            if uid in found:
                continue
            for record in self._find(level, {**above, word: uid}, returned, holdings):
                if record.text(word) == uid:
                    found.setdefault(uid, record)
                    self._lists = len(uids) == 1 and self._lists  # or its answer to the list was not whole
        return [found[uid] for uid in uids if uid in found]

    def _find(
        self,
        level: QueryLevel,
        keys: Mapping[str, str | list[str]],
        returned: Sequence[str],
        holdings: Holdings,
        *,
        hierarchical: bool = True,
    ) -> list[Elements]:
        course = Course(10**9)
        wanted = [key for key in returned if key not in keys]
        asked = identifiers(level, keys, model=self._model, return_keys=wanted, hierarchical=hierarchical)
        records = [record for item in asked for record in matches(self._association, self._model, item, course)]
        self._association.deadline.progressed()
        if course.cut or course.cancelled or course.unreadable:
            holdings.doubt(course.cut or (course.unreadable or ["the archive cancelled the query"])[0])
        return records


def _stated(series: Elements) -> int | None:
    try:
        stated = series.get("NumberOfSeriesRelatedInstances")
    except BadData:
        return None
    return stated if isinstance(stated, int) else None


def _compare(holdings: Holdings, study: str, series: str, stated: int | None, listed: set[str]) -> None:
    """Note a list of instances that is shorter than the series is said to be."""
    if stated is not None and len(listed) < stated:
        holdings.short[series] = Short(study, series, stated, frozenset(listed))
    elif not listed:
        holdings.doubt(f"it names series {series} and none of its instances")


def _size(image: Elements) -> int | None:
    try:
        rows, columns, bits = (image.get(name) for name in ("Rows", "Columns", "BitsAllocated"))
        samples, frames = image.get("SamplesPerPixel") or 1, image.get("NumberOfFrames") or 1
    except BadData:
        return None
    if not all(isinstance(value, int) for value in (rows, columns, bits)):
        return None
    if not isinstance(samples, int) or not isinstance(frames, int):
        return None
    return rows * columns * samples * frames * ((bits + 7) // 8) + _HEADER
