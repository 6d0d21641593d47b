"""What a change of attributes cannot reach: private attributes, overlays, burned-in text, documents (R13.13)."""

from __future__ import annotations

from collections import Counter

from pydicom.dataset import Dataset

#: Images of these modalities often show names in their pixels.
_PICTURED = frozenset(("US", "SC", "OT", "XC", "ES", "XA", "RF", "DOC", "GM", "OP"))


class Remains:
    """Counts over instances; sentences at the end."""

    def __init__(self) -> None:
        self.private: Counter[str] = Counter()  # attributes that were dropped, by their creator
        self.kept: Counter[str] = Counter()  # and that were kept
        self.unknown = 0
        self.found: Counter[str] = Counter()

    def private_of(self, dataset: Dataset, *, kept: bool) -> None:
        """Count the private attributes of a data set, in sequences too."""
        for element in dataset:
            if element.tag.is_private and not element.tag.is_private_creator:
                creator = dataset.get((element.tag.group, element.tag.element >> 8))
                name = str(creator.value) if creator is not None else "an unknown creator"
                (self.kept if kept else self.private)[name] += 1
            elif element.VR == "SQ":
                for item in element.value:
                    self.private_of(item, kept=kept)

    def look(self, dataset: Dataset) -> None:
        """Note what an instance shows or holds."""
        burned = str(dataset.get("BurnedInAnnotation", "") or "")
        if "PixelData" in dataset:
            if burned == "YES":
                self.found["burned"] += 1
            elif burned != "NO" and str(dataset.get("Modality", "")) in _PICTURED:
                self.found["silent"] += 1
            if str(dataset.get("RecognizableVisualFeatures", "") or "") == "YES":
                self.found["face"] += 1
        if any(0x6000 <= tag.group <= 0x601E and tag.element == 0x3000 for tag in dataset.keys()):  # noqa: SIM118
            self.found["overlay"] += 1
        for keyword, what in (("EncapsulatedDocument", "document"), ("IconImageSequence", "icon")):
            if keyword in dataset:
                self.found[what] += 1
        if "ContentSequence" in dataset:
            self.found["report"] += 1

    def sentences(self) -> tuple[list[str], list[str]]:
        """What was dropped; and what is still there, of which the user must know."""
        dropped = [
            f"{_many(count, 'private attribute')} of {name} {_were(count)} dropped"
            for name, count in sorted(self.private.items())
        ]
        if self.unknown:
            dropped.append(f"{_many(self.unknown, 'attribute')} that PS3.6 does not know {_were(self.unknown)} dropped")
        stays = [
            f"{_many(count, 'private attribute')} of {name} {_were(count)} kept and may name somebody"
            for name, count in sorted(self.kept.items())
        ]
        for what, said in (
            ("burned", "with burned-in text (BurnedInAnnotation YES): the pixels are as they were"),
            ("silent", "that may show text: BurnedInAnnotation does not say, and the pixels are as they were"),
            ("face", "with recognizable visual features: the pixels are as they were"),
            ("overlay", "with an overlay: it is as it was"),
            ("icon", "with an icon: its pixels are as they were"),
        ):
            if self.found[what]:
                stays.append(f"{_many(self.found[what], 'image')} {said}")
        if self.found["document"]:
            stays.append(f"{_many(self.found['document'], 'document')} whose content is as it was")
        if self.found["report"]:
            stays.append(f"{_many(self.found['report'], 'report')} whose free text may name somebody")
        return dropped, stays


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
