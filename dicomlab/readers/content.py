"""The content tree of a structured report, one row for each content item (PS3.3 C.17.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..datasets.elements import Elements
from ..datasets.uids import name_of
from ..errors import BadData
from .codes import NO_CODE, Code, code_of, several

COLUMNS = (
    "path", "relationship", "value_type", "concept", "code", "scheme", "value", "value_code", "unit", "references",
    "frames", "points",
)  # fmt: skip
_TEXTS = {
    "TEXT": "TextValue", "PNAME": "PersonName", "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime", "UIDREF": "UID",
}  # fmt: skip
DEEPEST = 64  # R0.8
BY_REFERENCE = "reference"  # value type of a row that stands for another one


def content(root: Elements) -> Iterator[dict[str, Any]]:
    """The items of a tree in the order a reader meets them.

    `path` counts from 1 at each level ("1" is the root). The value of a relationship by reference is the path of
    its target; it is not followed, so that a circle ends nowhere.

    Raises
    ------
    BadData
        A sequence holds no items, a number is none, or items nest too deep.
    """
    waiting = [("1", root)]
    while waiting:
        path, item = waiting.pop()
        if path.count(".") > DEEPEST:
            raise BadData(f"content items nest deeper than {DEEPEST}", tag="0040A730")
        yield _row(path, item)
        below = item.items("ContentSequence")
        waiting += [(f"{path}.{number}", child) for number, child in reversed(list(enumerate(below, 1)))]


def _row(path: str, item: Elements) -> dict[str, Any]:
    concept, value_type = code_of(item, "ConceptNameCodeSequence"), item.text("ValueType")
    target = several(item.get("ReferencedContentItemIdentifier"))
    value, value_code, unit = _value(item, value_type)
    if target and not value_type:
        value_type, value = BY_REFERENCE, ".".join(map(str, target))
    references = item.items("ReferencedSOPSequence")
    if references and value is None:
        value = name_of(references[0].text("ReferencedSOPClassUID")).partition(" (")[0]
    return {
        "path": path,
        "relationship": item.text("RelationshipType"),
        "value_type": value_type,
        "concept": str(concept),
        "code": concept.value,
        "scheme": concept.scheme,
        "value": value,
        "value_code": f"{value_code.value} {value_code.scheme}".strip(),
        "unit": unit,
        "references": [reference.text("ReferencedSOPInstanceUID") for reference in references],
        "frames": [frame for part in references for frame in several(part.get("ReferencedFrameNumber"))],
        "points": _points(item, value_type),
    }


def _value(item: Elements, value_type: str) -> tuple[Any, Code, str]:
    """The value, its code where it is one, its unit where it has one."""
    if value_type in _TEXTS:
        return item.text(_TEXTS[value_type]), NO_CODE, ""
    if value_type == "CODE":
        code = code_of(item, "ConceptCodeSequence")
        return str(code), code, ""
    if value_type in ("SCOORD", "SCOORD3D"):
        return item.text("GraphicType"), NO_CODE, ""
    if value_type == "TCOORD":
        return item.text("TemporalRangeType"), NO_CODE, ""
    if value_type != "NUM":
        return None, NO_CODE, ""
    measured = item.items("MeasuredValueSequence")
    if not measured:
        qualifier = code_of(item, "NumericValueQualifierCodeSequence")  # why there is no number
        return (str(qualifier) or None), qualifier, ""
    exact, number = (several(measured[0].get(name)) for name in ("FloatingPointValue", "NumericValue"))
    values = exact or number
    unit = code_of(measured[0], "MeasurementUnitsCodeSequence")
    return (float(values[0]) if values and values[0] is not None else None), NO_CODE, unit.value


def _points(item: Elements, value_type: str) -> Any:
    """Coordinates: (n, 2) columns and rows or (n, 3) mm of a graphic, a list of a time; None elsewhere."""
    if value_type in ("SCOORD", "SCOORD3D"):
        wide = 2 if value_type == "SCOORD" else 3
        numbers = np.array(several(item.get("GraphicData")), np.float64)
        return numbers[: len(numbers) // wide * wide].reshape(-1, wide)
    if value_type == "TCOORD":
        names = ("ReferencedSamplePositions", "ReferencedTimeOffsets", "ReferencedDateTime")
        return next((found for name in names if (found := several(item.get(name)))), [])
    return None
