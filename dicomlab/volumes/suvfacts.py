"""The facts that SUV is made of, from the headers: a number that must be there, a body, the factor of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from ..datasets.elements import Elements, tag_of
from ..errors import BadData, InvalidRequest

#: What the caller may know better than the headers.
KNOWN: Final = (
    "PatientWeight", "PatientSize", "PatientSex", "RadionuclideTotalDose", "RadionuclideHalfLife",
    "RadiopharmaceuticalStartDateTime",
)  # fmt: skip
NOTHING: Mapping[str, Any] = MappingProxyType({})


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


@dataclass(frozen=True)
class Factor:
    """SUV = value * factor, and how it came about."""

    factor: float
    how: str
    warnings: tuple[str, ...] = ()


def already(header: Elements, by: str, suv_type: str, kind: Kind, known: Mapping[str, Any]) -> Factor:
    """The values are SUV as they are, which `by` says; another kind is worked out of that by body weight."""
    made = Factor(1.0, f"values as stored, which are SUV by {by}")
    if suv_type == kind.suv_type:
        return made
    if suv_type != "BW":
        raise refused(f"the values are SUV of SUVType (0054,1006) {suv_type} already")
    return of_bw(made, header, kind, known)


def of_bw(made: Factor, header: Elements, kind: Kind, known: Mapping[str, Any]) -> Factor:
    """Another kind of SUV from that by body weight."""
    if kind is KINDS["bw"]:
        return made
    body, said = kind.measure(header, known)
    weight, kilograms = KINDS["bw"].measure(header, known)
    return Factor(made.factor * body / weight, f"SUV{kind.name} = ({made.how}) x {said} / {kilograms}")
