"""What the archive says it holds of what is asked for: the set that a retrieval is measured by (R5.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..elements import Elements
from ..errors import AssociationRejected, BadData, ConnectError, DicomlabError, DimseTimeout, InvalidRequest
from ..identifier import PATIENT_ROOT, STUDY_ROOT, identifiers
from ..level import QueryLevel
from ..tables import Address
from . import contexts
from .association import Association, associate
from .deadline import Deadline
from .node import Node
from .operation import Course, matches

_IMAGE_KEYS = ("SOPInstanceUID", "SOPClassUID")
_SIZE_KEYS = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames")  # an archive may open every file
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
_ABOVE = ("StudyInstanceUID", "SeriesInstanceUID")
_STUDY_KEYS = ("StudyInstanceUID",)
RELATIONAL = b"\x01"  # byte 1 of the extended negotiation of C-FIND (PS3.4 C.5.1)
_HEADER = 2_000  # bytes of an instance beside its pixel data, as an estimate


@dataclass(frozen=True)
class Held:
    """One instance that the archive says it has."""

    SOPInstanceUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    SOPClassUID: str = ""  # "" where the archive does not say
    size: int | None = None  # estimated bytes of pixel data and header, None where it cannot be known


@dataclass(frozen=True)
class Short:
    """A series whose list of instances is shorter than it is said to be."""

    study: str
    series: str
    stated: int  # NumberOfSeriesRelatedInstances (0020,1209)
    listed: frozenset[str]  # SOP Instance UIDs

    def __str__(self) -> str:
        return f"it says that series {self.series} has {self.stated} instances and lists {len(self.listed)}"


@dataclass
class Holdings:
    """The instances due, and how well that is known."""

    instances: dict[str, Held] = field(default_factory=dict)
    known: bool = True  # False: the archive could not be asked; only what arrives counts
    why: str = ""  # why it is not known
    modalities: set[str] = field(default_factory=set)
    short: dict[str, Short] = field(default_factory=dict)  # by SeriesInstanceUID; not doubted yet
    sizes: bool = False  # whether they are to be said

    def doubt(self, why: str) -> None:
        """What the archive says is not the whole of it."""
        self.known, self.why = False, self.why or why

    def batches(self, syntaxes: Sequence[str]) -> Iterator[list[contexts.Context]]:
        """Contexts for the storage SOP classes due; else for those of the modalities, then for every one (R5.6)."""
        found = {held.SOPClassUID for held in self.instances.values()}
        room = contexts.LIMIT - 2  # the models of both roots
        if self.known and found and "" not in found:
            yield from contexts.storage_batches(sorted(found), room, syntaxes)
            return
        likely = dict.fromkeys((*sorted(found - {""}), *(contexts.classes_of(sorted(self.modalities)) or ())))
        if likely:
            yield from contexts.storage_batches(list(likely), room, syntaxes)
        others = [uid for uid in contexts.storage_classes() if uid not in likely]
        yield from contexts.storage_batches(others, room, syntaxes)


def ask(node: Node, addresses: Sequence[Address], deadline: Deadline, *, sizes: bool = False) -> Holdings:
    """Ask the archive, by C-FIND down to IMAGE level on one association, what there is; and how large, on request.

    An archive that does not answer queries gives `Holdings` that are not known; one that cannot be reached raises.
    """
    holdings = Holdings(sizes=sizes)
    try:
        for model in (STUDY_ROOT, PATIENT_ROOT):
            chosen = [item for item in addresses if (item.level is QueryLevel.PATIENT) is (model == PATIENT_ROOT)]
            if not chosen:
                continue
            whole = all(item.StudyInstanceUID or item.level is QueryLevel.PATIENT for item in chosen)
            extended = {} if whole else {model: RELATIONAL}
            with associate(node, contexts.query(model), deadline, phase="C-FIND", extended=extended) as association:
                for address in chosen:
                    for item in _placed(association, model, address, holdings):
                        for held in _below(association, model, item, holdings):
                            holdings.instances.setdefault(held.SOPInstanceUID, held)
    except DicomlabError as error:
        if isinstance(error, ConnectError | AssociationRejected | DimseTimeout | InvalidRequest):
            raise
        holdings.known, holdings.why = False, str(error)
    return holdings


def _placed(association: Association, model: str, address: Address, holdings: Holdings) -> list[Address]:
    """The address with its study and series; where it names none, the archive is asked for them (R5.22).

    That is a relational query. With its answer the retrieve itself is by the baseline rules, with every key above.
    """
    if address.level is QueryLevel.PATIENT or address.StudyInstanceUID:
        return [address]
    named = address.level.unique_key
    uid = getattr(address, named)
    if not (association.accepted.agreed(model, 1) or association.node.quirks.relational):
        raise InvalidRequest(
            f"{named} {uid} is given without its StudyInstanceUID, and this archive agrees to no relational queries",
            peer=association.node.identity,
            phase="C-FIND",
            advice="Keep the StudyInstanceUID with it; or say quirks.relational in the node's entry, if the archive "
            "answers such queries all the same.",
        )
    found = _find(association, model, address.level, {named: uid}, _ABOVE, holdings, hierarchical=False)
    return [
        replace(address, **{word: record.text(word) for word in _ABOVE if record.text(word)})
        for record in found
        if record.text("StudyInstanceUID") and record.text(named) in ("", uid)
    ]


def _below(association: Association, model: str, address: Address, holdings: Holdings) -> Iterator[Held]:
    studies: list[str] = [address.StudyInstanceUID]
    keys = (*_IMAGE_KEYS, *_SIZE_KEYS) if holdings.sizes else _IMAGE_KEYS
    above: dict[str, str] = {}
    if model == PATIENT_ROOT:
        above["PatientID"] = address.PatientID
    if address.level is QueryLevel.PATIENT:
        found = _find(association, model, QueryLevel.STUDY, above, _STUDY_KEYS, holdings)
        studies = [uid for record in found if (uid := record.text("StudyInstanceUID"))]
    for study in studies:
        named = {**above, "StudyInstanceUID": study}
        wanted = dict(named)
        if address.SeriesInstanceUID:
            wanted["SeriesInstanceUID"] = address.SeriesInstanceUID
        for series in _find(association, model, QueryLevel.SERIES, wanted, _SERIES_KEYS, holdings):
            uid = series.text("SeriesInstanceUID")
            if not uid or (address.SeriesInstanceUID and uid != address.SeriesInstanceUID):
                continue
            holdings.modalities.add(series.text("Modality"))
            images = {**named, "SeriesInstanceUID": uid}
            if address.SOPInstanceUID:
                images["SOPInstanceUID"] = address.SOPInstanceUID
            found = _find(association, model, QueryLevel.IMAGE, images, keys, holdings)
            if not address.SOPInstanceUID:
                _compare(holdings, study, uid, _stated(series), {image.text("SOPInstanceUID") for image in found})
            for image in found:
                instance = image.text("SOPInstanceUID")
                if instance and address.SOPInstanceUID in ("", instance):
                    yield Held(instance, study, uid, image.text("SOPClassUID"), _size(image))


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


def _find(
    association: Association,
    model: str,
    level: QueryLevel,
    keys: dict[str, str],
    returned: Sequence[str],
    holdings: Holdings,
    *,
    hierarchical: bool = True,
) -> list[Elements]:
    course = Course(10**9)
    wanted = [key for key in returned if key not in keys]
    asked = identifiers(level, keys, model=model, return_keys=wanted, hierarchical=hierarchical)
    records = [record for item in asked for record in matches(association, model, item, course)]
    association.deadline.progressed()
    if course.cut or course.cancelled or course.unreadable:
        holdings.doubt(course.cut or (course.unreadable or ["the archive cancelled the query"])[0])
    return records


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
