"""The facts that SUV is made of, from the headers: a number that must be there, a body, the time since injection."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from . import moments
from .elements import Elements, tag_of
from .errors import BadData, InvalidRequest

#: What the caller may know better than the headers.
KNOWN: Final = (
    "PatientWeight", "PatientSize", "PatientSex", "RadionuclideTotalDose", "RadionuclideHalfLife",
    "RadiopharmaceuticalStartDateTime",
)  # fmt: skip
NOTHING: Mapping[str, Any] = MappingProxyType({})
_GE, _GE_START = 0x00090010, 0x0009100D
_EARLY: Final = 600.0  # seconds that a dynamic scan may begin before the injection
_HALF_LIVES: Final = 10  # after so many, a date is wrong
_DT = re.compile(r"(\d{8})(\d{4}(?:\d\d(?:\.\d{1,6})?)?)?(?:([+-])(\d\d)(\d\d))?$")


def refused(message: str, advice: str = "") -> InvalidRequest:
    """Why there is no SUV."""
    return InvalidRequest(f"no SUV: {message}", advice=advice)


def tagged(name: str) -> str:
    """An attribute by keyword and tag."""
    tag = tag_of(name)
    return f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def needed(header: Elements, name: str, known: Mapping[str, Any] = NOTHING) -> Any:
    """The value of an attribute that there must be.

    Raises
    ------
    InvalidRequest
        It is missing or empty.
    """
    if name in known:
        return known[name]
    try:
        value = header.get(name)
    except BadData as error:
        raise refused(f"{tagged(name)} cannot be read: {error.why}") from None
    if value is None:
        raise refused(f"{tagged(name)} is missing", f"If you know it, give {name}=." if name in KNOWN else "")
    return value


def number(header: Elements, name: str, known: Mapping[str, Any] = NOTHING) -> float:
    """A number above zero that there must be.

    Raises
    ------
    InvalidRequest
        It is missing, or another.
    """
    value = needed(header, name, known)
    if isinstance(value, bool | str) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        raise refused(
            f"{tagged(name)} is {value!r}, and must be a number above zero",
            f"If you know it, give {name}=." if name in KNOWN else "",
        )
    return float(value)


@dataclass(frozen=True)
class Kind:
    """What the activity per dose is multiplied by."""

    name: str
    suv_type: str  # SUVType (0054,1006)
    units: str  # a term of Units (0054,1001)
    measure: Callable[[Elements, Mapping[str, Any]], tuple[float, str]]  # g or cm2, and how it was found


def _weight(header: Elements, known: Mapping[str, Any]) -> float:
    weight = number(header, "PatientWeight", known)
    if weight > 700:
        raise refused(f"PatientWeight (0010,1030) is {weight:g} kg", "If you know it, give PatientWeight= in kg.")
    return weight


def _size(header: Elements, known: Mapping[str, Any]) -> float:
    size = number(header, "PatientSize", known)
    if size > 3:
        raise refused(f"PatientSize (0010,1020) is {size:g} m", "If you know it, give PatientSize= in m.")
    return size


def _body_weight(header: Elements, known: Mapping[str, Any]) -> tuple[float, str]:
    weight = _weight(header, known)
    return weight * 1000, f"{weight:g} kg"


def _man(header: Elements, known: Mapping[str, Any]) -> bool:
    sex = needed(header, "PatientSex", known)
    if sex not in ("M", "F"):
        raise refused(
            f"PatientSex (0010,0040) is {sex!r}; lean body mass is known for M and F",
            "If you know it, give PatientSex=.",
        )
    return sex == "M"


def _janmahasatian(header: Elements, known: Mapping[str, Any]) -> tuple[float, str]:
    weight, size = _weight(header, known), _size(header, known)
    bmi = weight / size**2
    mass = 9270 * weight / (6680 + 216 * bmi if _man(header, known) else 8780 + 244 * bmi)
    return mass * 1000, f"{mass:.6g} kg lean body mass (Janmahasatian)"


def _james(header: Elements, known: Mapping[str, Any]) -> tuple[float, str]:
    weight, centimetres = _weight(header, known), 100 * _size(header, known)
    ratio = (weight / centimetres) ** 2
    mass = 1.10 * weight - 128 * ratio if _man(header, known) else 1.07 * weight - 148 * ratio
    if mass <= 0:
        raise refused("the formula of James gives no lean body mass above zero for this patient", "Use kind='lbm'.")
    return mass * 1000, f"{mass:.6g} kg lean body mass (James, 128)"


def _surface(header: Elements, known: Mapping[str, Any]) -> tuple[float, str]:
    weight, centimetres = _weight(header, known), 100 * _size(header, known)
    surface = 71.84 * weight**0.425 * centimetres**0.725
    return surface, f"{surface:.6g} cm2 body surface (Du Bois)"


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "bw": Kind("bw", "BW", "GML", _body_weight),
        "lbm": Kind("lbm", "LBMJANMA", "GML", _janmahasatian),
        "lbmjames128": Kind("lbmjames128", "LBMJAMES128", "GML", _james),
        "bsa": Kind("bsa", "BSA", "CM2ML", _surface),
    }
)


def decay_time(
    read: Sequence[Elements], tracer: Elements, half_life: float, known: Mapping[str, Any] = NOTHING
) -> tuple[float, str, list[str]]:
    """Seconds from the injection to the time that a series with DecayCorrection START is corrected to.

    Returns
    -------
    seconds, how, warnings

    Raises
    ------
    InvalidRequest
        A date or time is missing, or they cannot be those of one scan.
    """
    warned: list[str] = []
    scan, of_scan = _scan_start(read)
    injection, of_injection = _injection(read[0], tracer, scan, known, warned)
    after = (scan - injection) / 1e9
    if after > _HALF_LIVES * half_life or after < -_EARLY:
        raise refused(
            f"from {of_injection} to {of_scan} are {after:.0f} s, which cannot be with a half life of {half_life:g} s",
            "If you know it, give RadiopharmaceuticalStartDateTime='YYYYMMDDHHMMSS'.",
        )
    if after < 0:
        warned.append(f"the scan began {-after:.0f} s before {of_injection}")
    return after, f"{of_injection} to {of_scan}", warned


def _scan_start(read: Sequence[Elements]) -> tuple[int, str]:
    """Nanoseconds since 1970, and which attributes say so."""
    first = read[0]
    series = _clock(first, "SeriesDate", "SeriesTime")
    earliest = min(_clock(header, "AcquisitionDate", "AcquisitionTime") for header in read)
    if series <= earliest:
        return series, "SeriesTime"
    creator, text = (first.raw.get(tag, ("", b""))[1].decode("latin-1").strip(" \0") for tag in (_GE, _GE_START))
    if text and (creator == "GEMS_PETD_01" or (not creator and first.text("Manufacturer").upper().startswith("GE"))):
        found = _DT.match(text)
        if found and found[2]:
            return _moment(found, "the scan start of GE (0009,100D)"), "the scan start of GE (0009,100D)"
    slices = first.get("NumberOfSlices", 0)
    places = {header.raw.get(tag_of("ImagePositionPatient"), ("", b""))[1] for header in read}
    if isinstance(slices, int) and len(places) < slices:
        raise refused(
            f"SeriesTime is later than AcquisitionTime, so the scan began with the earliest of {slices} slices, and "
            f"the array holds {len(places)}",
            "Take the SUV of the whole volume, then cut it.",
        )
    return earliest, "the earliest AcquisitionTime (SeriesTime is later)"


def _clock(header: Elements, day: str, clock: str) -> int:
    texts = []
    for name in (day, clock):
        needed(header, name)
        texts.append(header.text(name))
    try:
        return moments.date(texts[0]) + moments.time(texts[1])
    except ValueError:
        raise refused(f"{tagged(day)} {texts[0]!r} with {tagged(clock)} {texts[1]!r} is no time") from None


def _injection(
    first: Elements, tracer: Elements, scan: int, known: Mapping[str, Any], warned: list[str]
) -> tuple[int, str]:
    """Nanoseconds since 1970 on the clock of the scan, and which attribute says so."""
    whole, clock = "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime"
    text = str(known[whole]).strip() if whole in known else tracer.text(whole)
    found = _DT.match(text)
    if text and not found:
        raise refused(f"{tagged(whole)} {text!r} is no date and time", f"If you know it, give {whole}=.")
    if found and found[2]:
        start = _moment(found, tagged(whole))
        if found[3]:
            start -= _offset(found, first)
        else:
            alone = tracer.text(clock)
            if whole not in known and alone and _seconds(alone, clock) != start % _DAY:
                warned.append(f"{tagged(clock)} is {alone}, and {tagged(whole)} {text}; the latter is taken")
        return start, whole
    if not tracer.text(clock):
        raise refused(
            f"{tagged(whole)} and {tagged(clock)} are missing", f"If you know it, give {whole}='YYYYMMDDHHMMSS'."
        )
    start = scan - scan % _DAY + _seconds(tracer.text(clock), clock)
    if start > scan + _EARLY * 1e9:  # a time without a date: across midnight it is of the day before
        start -= _DAY
    return start, clock


_DAY = 86_400_000_000_000  # nanoseconds


def _seconds(text: str, name: str) -> int:
    try:
        return moments.time(text)
    except ValueError:
        raise refused(f"{tagged(name)} {text!r} is no time") from None


def _moment(found: re.Match[str], what: str) -> int:
    try:
        return moments.date(found[1]) + moments.time(found[2])
    except ValueError:
        raise refused(f"{what} {found[0]!r} is no date and time") from None


def _offset(found: re.Match[str], first: Elements) -> int:
    """Nanoseconds that a DT with an offset from UTC is ahead of the clock of the series.

    Where the series has none (0008,0201), both were written by one clock.
    """
    ours = re.match(r"([+-])(\d\d)(\d\d)$", first.text("TimezoneOffsetFromUTC"))
    if ours is None:
        return 0

    def minutes(sign: str, hours: str, rest: str) -> int:
        return (-1 if sign == "-" else 1) * (60 * int(hours) + int(rest))

    return (minutes(found[3], found[4], found[5]) - minutes(ours[1], ours[2], ours[3])) * 60_000_000_000
