"""What is left of an injected dose at the time a PET image is corrected to, or why nobody can know."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..datasets import moments
from ..datasets.elements import Elements, tag_of
from .suvfacts import Factor, Kind, needed, number, refused, tagged

_GE, _GE_START = 0x00090010, 0x0009100D
_EARLY: Final = 600.0  # seconds that a dynamic scan may begin before the injection
_HALF_LIVES: Final = 10  # after so many, a date is wrong
_DT = re.compile(r"(\d{8})(\d{4}(?:\d\d(?:\.\d{1,6})?)?)?(?:([+-])(\d\d)(\d\d))?$")
#: When a series is corrected to: nanoseconds since 1970 on its own clock, and which attributes say so.
Moment = Callable[[Sequence[Elements]], tuple[int, str]]


def of_dose(
    read: Sequence[Elements],
    tracer: Elements,
    dose: float,
    corrected: Moment | None,
    note: str,
    scale: float,
    kind: Kind,
    known: Mapping[str, Any],
) -> Factor:
    """SUV of an activity concentration.

    Parameters
    ----------
    read
        The headers of all instances.
    tracer
        The item with the half life and the start of the administration.
    dose
        Bq at that start.
    corrected
        The time that decay is corrected to; None where it is that start.
    note, scale
        What is multiplied with, in words, and by how much beforehand.

    Raises
    ------
    InvalidRequest
        An attribute is missing or wrong.
    """
    warned: list[str] = []
    left, told = dose, f"{dose:.9g} Bq (DecayCorrection ADMIN: corrected to the injection)"
    if corrected is not None:
        half_life = number(tracer, "RadionuclideHalfLife", known)
        scan, of_scan = corrected(read)
        after, said = _after(read[0], tracer, scan, of_scan, half_life, known, warned)
        left = dose * 2.0 ** (-after / half_life)
        told = f"{left:.9g} Bq ({dose:.9g} Bq after {after:g} s with half life {half_life:g} s; {said})"
    body, of_body = kind.measure(read[0], known)
    return Factor(scale * body / left, f"SUV{kind.name} = {note} x {of_body} / {told}", tuple(warned))


def one_tracer(header: Elements) -> Elements:
    """The item of the only radiopharmaceutical; an empty one where there is none.

    Raises
    ------
    InvalidRequest
        There are several.
    """
    name = "RadiopharmaceuticalInformationSequence"
    tracers = header.items(name)
    if len(tracers) > 1:
        raise refused(f"{name} (0054,0016) has {len(tracers)} items: several injections")
    return tracers[0] if tracers else Elements({}, False)


def _after(
    first: Elements,
    tracer: Elements,
    scan: int,
    of_scan: str,
    half_life: float,
    known: Mapping[str, Any],
    warned: list[str],
) -> tuple[float, str]:
    """Seconds from the injection to the time decay is corrected to, and how they were found."""
    injection, of_injection = _injection(first, tracer, scan, known, warned)
    after = (scan - injection) / 1e9
    if after > _HALF_LIVES * half_life or after < -_EARLY:
        raise refused(
            f"from {of_injection} to {of_scan} are {after:.0f} s, which cannot be with a half life of {half_life:g} s",
            "If you know it, give RadiopharmaceuticalStartDateTime='YYYYMMDDHHMMSS'.",
        )
    if after < 0:
        warned.append(f"the scan began {-after:.0f} s before {of_injection}")
    return after, f"{of_injection} to {of_scan}"


def corrected_to(first: Elements, name: str) -> Moment:
    """The time that an attribute of VR DT states, on the clock of the series.

    Raises
    ------
    InvalidRequest
        It is missing, or no date with a time.
    """
    text = str(needed(first, name)).strip()
    found = _DT.match(text)
    if found is None or not found[2]:
        raise refused(f"{tagged(name)} {text!r} is no date and time")
    moment = _moment(found, tagged(name)) - (_offset(found, first) if found[3] else 0)
    return lambda read: (moment, name)


def scan_start(read: Sequence[Elements]) -> tuple[int, str]:
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
