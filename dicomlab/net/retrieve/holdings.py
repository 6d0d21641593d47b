"""What the archive says it holds of what is asked for: the set that a retrieval is measured by (R5.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...amounts import counted
from ..association import contexts

UIDS_PER_REQUEST = 500  # of a list in one identifier


@dataclass(frozen=True, slots=True)
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
        return f"it says that series {self.series} has {counted(self.stated, 'instance')} and lists {len(self.listed)}"


@dataclass
class Holdings:
    """The instances due, and how well that is known."""

    instances: dict[str, Held] = field(default_factory=dict)
    known: bool = True  # False: the archive could not be asked; only what arrives counts
    why: str = ""  # why it is not known
    modalities: set[str] = field(default_factory=set)
    short: dict[str, Short] = field(default_factory=dict)  # by SeriesInstanceUID; not doubted yet

    def doubt(self, why: str) -> None:
        """What the archive says is not the whole of it."""
        self.known, self.why = False, self.why or why

    def join(self, other: Holdings) -> None:
        """Add what was asked for elsewhere."""
        for uid, held in other.instances.items():
            self.instances.setdefault(uid, held)
        self.modalities |= other.modalities
        self.short |= other.short
        if not other.known:
            self.doubt(other.why)

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
