"""What the archive says it holds of what is asked for: the set that a retrieval is measured by (R5.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import DicomlabError
from ..identifier import PATIENT_ROOT, STUDY_ROOT, identifiers
from ..level import QueryLevel
from ..tables import Address
from . import contexts, query
from .association import Association, associate
from .deadline import Deadline
from .node import Node

_IMAGE_KEYS = ("SOPInstanceUID", "SOPClassUID", "Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames")
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
_STUDY_KEYS = ("StudyInstanceUID", "ModalitiesInStudy", "SOPClassesInStudy")
_HEADER = 2_000  # bytes of an instance beside its pixel data, as an estimate


@dataclass(frozen=True)
class Held:
    """One instance that the archive says it has."""

    SOPInstanceUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    SOPClassUID: str = ""  # "" where the archive does not say
    size: int | None = None  # estimated bytes of pixel data and header, None where it cannot be known


@dataclass
class Holdings:
    """The instances due, and how well that is known."""

    instances: dict[str, Held] = field(default_factory=dict)
    known: bool = True  # False: the archive could not be asked; only what arrives counts
    why: str = ""  # why it is not known
    modalities: set[str] = field(default_factory=set)

    @property
    def classes(self) -> list[str]:
        """Storage SOP classes to propose, or those of the modalities, or every one (R5.6)."""
        found = {held.SOPClassUID for held in self.instances.values()}
        if found and "" not in found:
            return sorted(found)
        return contexts.classes_of(sorted(self.modalities)) or list(contexts.storage_classes())


def ask(node: Node, addresses: Sequence[Address], deadline: Deadline) -> Holdings:
    """Ask the archive, by C-FIND down to IMAGE level on one association, what there is.

    An archive that does not answer queries gives `Holdings` that are not known; one that cannot be reached raises.
    """
    holdings = Holdings()
    model = PATIENT_ROOT if any(item.level is QueryLevel.PATIENT for item in addresses) else STUDY_ROOT
    try:
        with associate(node, contexts.query(model), deadline, phase="C-FIND") as association:
            for address in addresses:
                for held in _below(association, model, address, holdings):
                    holdings.instances.setdefault(held.SOPInstanceUID, held)
    except DicomlabError as error:
        from ..errors import AssociationRejected, ConnectError, DimseTimeout

        if isinstance(error, ConnectError | AssociationRejected | DimseTimeout):
            raise
        holdings.known, holdings.why = False, str(error)
    return holdings


def _below(association: Association, model: str, address: Address, holdings: Holdings) -> Iterator[Held]:
    studies: list[str] = [address.StudyInstanceUID]
    above: dict[str, str] = {}
    if model == PATIENT_ROOT:
        above["PatientID"] = address.PatientID
    if address.level is QueryLevel.PATIENT:
        found = _find(association, model, QueryLevel.STUDY, above, _STUDY_KEYS)
        studies = [uid for record in found if (uid := record.text("StudyInstanceUID"))]
    for study in studies:
        named = {**above, "StudyInstanceUID": study}
        wanted = dict(named)
        if address.SeriesInstanceUID:
            wanted["SeriesInstanceUID"] = address.SeriesInstanceUID
        for series in _find(association, model, QueryLevel.SERIES, wanted, _SERIES_KEYS):
            uid = series.text("SeriesInstanceUID")
            if not uid or (address.SeriesInstanceUID and uid != address.SeriesInstanceUID):
                continue
            holdings.modalities.add(series.text("Modality"))
            images = {**named, "SeriesInstanceUID": uid}
            if address.SOPInstanceUID:
                images["SOPInstanceUID"] = address.SOPInstanceUID
            for image in _find(association, model, QueryLevel.IMAGE, images, _IMAGE_KEYS):
                instance = image.text("SOPInstanceUID")
                if instance and address.SOPInstanceUID in ("", instance):
                    yield Held(instance, study, uid, image.text("SOPClassUID"), _size(image))


def _find(
    association: Association, model: str, level: QueryLevel, keys: dict[str, str], returned: Sequence[str]
) -> list[query.Elements]:
    course = query.Course(10**9)
    asked = identifiers(level, keys, model=model, return_keys=[key for key in returned if key not in keys])
    records = [record for item in asked for record in query.matches(association, model, item, course)]
    association.deadline.progressed()
    return records


def _size(image: query.Elements) -> int | None:
    rows, columns, bits = image.get("Rows"), image.get("Columns"), image.get("BitsAllocated")
    if not all(isinstance(value, int) for value in (rows, columns, bits)):
        return None
    samples, frames = image.get("SamplesPerPixel") or 1, image.get("NumberOfFrames") or 1
    if not isinstance(samples, int) or not isinstance(frames, int):
        return None
    return rows * columns * samples * frames * ((bits + 7) // 8) + _HEADER
