"""One encoded value in Python, by its VR (PS3.5 6.2)."""

from __future__ import annotations

import struct
from typing import Any, Final

from . import charset

#: VRs whose text follows SpecificCharacterSet (PS3.5 6.1.2.3).
TEXT: Final = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
SINGLE: Final = frozenset(["LT", "ST", "UT", "UR"])  # a backslash is no separator
NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}


def typed(vr: str, value: bytes, codecs: tuple[tuple[str, ...], bool]) -> Any:
    """One value, or a tuple of several, in the Python type of the VR."""
    if vr in NUMBERS or vr == "AT":
        form = NUMBERS.get(vr, "I")
        size = struct.calcsize("<" + form)
        if vr == "AT":
            value = value[: len(value) // 4 * 4]
            pairs = struct.unpack(f"<{len(value) // 2}H", value)
            many: tuple[Any, ...] = tuple(a << 16 | b for a, b in zip(pairs[::2], pairs[1::2], strict=True))
        else:
            if len(value) % size:
                raise ValueError(f"{len(value)} bytes are no multiple of {size}")
            many = struct.unpack(f"<{len(value) // size}{form}", value)
    elif vr in TEXT:
        text, _ = charset.decode(value, *codecs, vr)
        if vr in SINGLE:
            return text.rstrip("\0 ")
        if vr == "PN":  # empty component groups at the end are not written, PS3.5 6.2; a space in one is no padding
            many = tuple(part.rstrip("=").rstrip("\0 ") for part in text.rstrip("\0 ").split("\\"))
        else:
            many = tuple(part.rstrip("\0 ") for part in text.split("\\"))
    elif vr in ("DS", "IS"):
        number = float if vr == "DS" else _integer
        parts = value.decode("latin-1").strip(" \0").split("\\")
        many = tuple(number(part.strip(" \0")) if part.strip(" \0") else None for part in parts)
    elif vr in ("AE", "AS", "CS", "DA", "DT", "TM", "UI"):
        plain = value.decode("latin-1").rstrip("\0 ")
        parts = [part.rstrip("\0 ") for part in plain.split("\\")]
        many = tuple(part.strip() if vr in ("AE", "UI") else part for part in parts)
    elif vr == "UR":
        return value.decode("latin-1").rstrip("\0 \t\r\n\f\v")
    else:
        return value
    return many[0] if len(many) == 1 else many or None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise ValueError("not a whole number") from None
        return int(number)
