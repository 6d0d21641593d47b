"""Coded entries: what a concept, a unit or a finding is called (PS3.3 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..datasets.elements import Elements


@dataclass(frozen=True)
class Code:
    """A coded entry; its text is the meaning, or the code where it has none."""

    value: str  # Code Value, Long Code Value or URN Code Value
    scheme: str  # Coding Scheme Designator
    meaning: str  # Code Meaning

    def __str__(self) -> str:
        return self.meaning or self.value


NO_CODE = Code("", "", "")


def code_of(header: Elements, keyword: str) -> Code:
    """The first item of a code sequence; NO_CODE where there is none.

    Raises
    ------
    BadData
        The sequence holds no items.
    """
    items = header.items(keyword)
    if not items:
        return NO_CODE
    item = items[0]
    value = next((text for name in ("CodeValue", "LongCodeValue", "URNCodeValue") if (text := item.text(name))), "")
    return Code(value, item.text("CodingSchemeDesignator"), item.text("CodeMeaning"))


def several(value: Any) -> list[Any]:
    """The values of an attribute, none where it is absent."""
    return list(value) if isinstance(value, tuple) else [] if value is None else [value]
