"""Names, identifiers, dates and free text as pseudonyms, while ``options.phi`` is off.

Values are replaced where a table, a volume or a message is made, for pandas and xarray write what they hold. Text
becomes ``hidden-`` and eight digits, the same for the same text in this session; dates move by one number of weeks
that is drawn once a session, so that they lie before 1890 and keep their order, distance and day of the week. Both are
translated back where they are given as a key, so that rows of a table still name what they named. Nothing of this is
written anywhere: with the session the way back is gone.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import threading
import weakref
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset

_TEXT: Final = frozenset(("PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR"))
#: Text that devices choose from lists and that says what an image is; a table could not be filtered without it.
TECHNICAL: Final = frozenset(
    (
        "ChannelLabel", "CodeMeaning", "CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion",
        "ConvolutionKernel", "FilterType", "LongCodeValue", "LUTExplanation", "LUTLabel", "Manufacturer",
        "ManufacturerModelName", "MIMETypeOfEncapsulatedDocument", "MultiplexGroupLabel", "PulseSequenceName",
        "Radiopharmaceutical",
        "ReceiveCoilName", "RescaleType", "SequenceName", "SoftwareVersions", "TimezoneOffsetFromUTC",
        "TransmitCoilName", "URNCodeValue", "WindowCenterWidthExplanation",
    )
)  # fmt: skip
_PSEUDONYM: Final = re.compile(r"hidden-[0-9a-f]{8}")
_UID: Final = re.compile(r"[0-9.]*")
_DAY: Final = re.compile(r"(\d{4})(\.?)(\d\d)\2(\d\d)")
_SHIFTED: Final = re.compile(r"(?<!\d)1[678]\d{6}|(?<!\d)1[678]\d\d-\d\d-\d\d")
_IN_TEXT: Final = re.compile(
    r"(?<![\d.])(?<!hidden-)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?=(?:\d{6})?(?!\d))"
)
_QUOTED: Final = re.compile(r"(['\"]).*\1", re.DOTALL)
_LAST: Final = 1890  # a day before this year is taken for a moved one
WEEKS: int = 7828 + int.from_bytes(os.urandom(8), "big") % 2600  # 150 to 200 years
_KEY: bytes = os.urandom(16)

_masking = False
_lock = threading.Lock()
_real: dict[str, str] = {}  # pseudonym: what it stands for
_given: dict[str, str] = {}  # the other way round
_ours: set[str] = set()  # folders whose names are ours and hold nothing of a patient
_open: list[weakref.ref[Any]] = []  # tables and volumes made while names were shown


def masking() -> bool:
    """Whether names are hidden now."""
    return _masking


def switch(shown: bool) -> int:
    """Show or hide from now on; gives the number of tables and volumes that are alive and hold names."""
    global _masking
    _masking = not shown
    if _masking:
        logging.getLogger("pydicom").addFilter(_unquoted)  # one that is there already is not added again
    with _lock:
        _open[:] = [one for one in _open if one() is not None]
        return len(_open)


def _unquoted(record: logging.LogRecord) -> bool:
    """Take the values out of what pydicom logs, such as those that break their VR."""
    if _masking:
        record.msg, record.args = _QUOTED.sub("'hidden'", record.getMessage()), ()
    return True


def secret() -> tuple[bytes, int] | None:
    """What the pseudonyms of this session are made with, for its other processes; None while names are shown."""
    return (_KEY, WEEKS) if _masking else None


def adopt(secret: tuple[bytes, int]) -> None:
    """Make pseudonyms from now on as the process does that this is the `secret` of."""
    global _KEY, WEEKS
    with _lock:
        if secret != (_KEY, WEEKS):
            _KEY, WEEKS = secret
            _real.clear()
            _given.clear()


def noted(thing: Any) -> Any:
    """The same table or volume, counted among those that hold names."""
    if not _masking:
        with _lock:
            if len(_open) >= 1000:
                _open[:] = [one for one in _open if one() is not None]
            _open.append(weakref.ref(thing))
    return thing


# -- one text, one date, one path ------------------------------------------------------------------------------------


def pseudonym(text: str) -> str:
    """What stands for this text in this session."""
    if not text or _PSEUDONYM.fullmatch(text):
        return text
    with _lock:
        known = _given.get(text)
        for turn in range(64 if known is None else 0):
            encoded = text.encode("utf-8", "surrogatepass")
            made = blake2b(encoded, key=_KEY, digest_size=4, salt=bytes([turn])).hexdigest()
            if _real.setdefault(f"hidden-{made}", text) == text:
                known = _given[text] = f"hidden-{made}"
                break
        return known or "hidden"


def real(text: Any) -> Any:
    """What a pseudonym stands for; anything else as it is.

    Raises
    ------
    InvalidRequest
        It is the pseudonym of another session.
    """
    if not isinstance(text, str) or not text.startswith("hidden-"):
        return text
    whole, ending = text[:15], text[15:]
    if not _PSEUDONYM.fullmatch(whole):
        return text
    if whole not in _real:
        from .errors import InvalidRequest

        raise InvalidRequest(
            f"{whole} stands for something of another session, which this one cannot know",
            advice="Ask again, and take the rows of the new table.",
        )
    found = _real[whole]
    return found if not ending or found.endswith(ending) else found + ending


def day(text: str, back: bool = False) -> str:
    """A DA, or a DT, moved; "" where it is no date."""
    match = _DAY.match(text)
    try:
        if match is None:
            return ""
        there = dt.date(int(match[1]), int(match[3]), int(match[4]))
        if back or there.year >= _LAST:  # else it is moved already
            there += dt.timedelta(weeks=WEEKS if back else -WEEKS)
    except (ValueError, OverflowError):
        return ""
    return f"{there.year:04d}{match[2]}{there.month:02d}{match[2]}{there.day:02d}{text[match.end() :]}"


def path(place: Any) -> Any:
    """The name of a file as it may be shown: as it is below a folder of ours, else a pseudonym with its ending."""
    if not _masking:
        return place
    text = os.fspath(place)
    if not isinstance(text, str) or any(text == ours or text.startswith(ours + os.sep) for ours in _ours):
        return place
    if _PSEUDONYM.match(text):
        return place
    ending = os.path.splitext(text)[1]
    return pseudonym(text) + (ending if ending.lower() in (".dcm", ".gz", ".nii", ".csv", ".parquet") else "")


def our_folder(folder: Any) -> None:
    """Say that the names of the files below a folder are made by us."""
    _ours.add(os.fspath(folder))


def said(text: str, *, dates: bool = True) -> str:
    """A message, with pseudonyms for the texts that were hidden so far, and its dates moved."""
    if not _masking or not text:
        return text
    found = [known for known in list(_given) if known in text and len(known) >= (3 if known.isascii() else 2)]
    for known in sorted(found, key=len, reverse=True):  # what is a part of a path, or a date, would leave its rest
        text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", _given.get(known, "hidden"), text)
    return _IN_TEXT.sub(lambda match: day(match[0]) or match[0], text) if dates else text


# -- values by their attribute ---------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _kind(tag: int, vr: str) -> str:
    """ "text", "date", "uid" or "" (shown)."""
    if vr in ("DA", "DT"):
        return "date"
    if vr == "UI":
        return "uid"
    if vr not in _TEXT or (tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF):  # private creators name blocks
        return ""
    from pydicom.datadict import keyword_for_tag

    return "" if keyword_for_tag(tag) in TECHNICAL else "text"


def hides(tag: int, vr: str) -> bool:
    """Whether values of that attribute are hidden while masking is on."""
    return _kind(tag, vr) in ("text", "date")


def value(tag: int, vr: str, found: Any) -> Any:
    """A value as it may be shown, whether masking is on or not; None, numbers and items stay."""
    kind = _kind(tag, vr)
    if isinstance(found, tuple | list) and not isinstance(found, str):
        return type(found)(value(tag, vr, one) for one in found)
    if isinstance(found, Mapping):
        return {name: _named(name, one) for name, one in found.items()}
    if kind == "date" and hasattr(found, "to_datetime64"):  # a Timestamp
        import pandas as pd

        return found if found is pd.NaT else _moved(found)
    if isinstance(found, bytes) and tag >> 16 & 1:
        return b"hidden"
    if not isinstance(found, str) or not kind:
        return found
    if kind == "date":  # or a range of them, or one with an offset from UTC
        first, *others = found.split("-")
        ends = [day(one) or (one if len(one) in (0, 4) else pseudonym(one)) for one in others]
        return "-".join([day(first) or pseudonym(first), *ends])
    if kind == "uid":
        return found if _UID.fullmatch(found) else pseudonym(found)
    return pseudonym(found)


def _moved(found: Any) -> Any:
    import pandas as pd

    try:
        return found - pd.Timedelta(weeks=WEEKS) if found.year >= _LAST else found
    except (ValueError, OverflowError):  # beyond what 64 bits of nanoseconds hold
        return pd.NaT


def named(name: str, found: Any) -> Any:
    """A value by its keyword, tag or path, as it may be shown now."""
    return _named(name, found) if _masking else found


def _named(name: str, found: Any) -> Any:
    if name == "path":
        return path(found) if isinstance(found, str | os.PathLike) else found
    where = _tag_of(name)
    return found if where is None else value(*where, found)


@lru_cache(maxsize=4096)
def _tag_of(name: str) -> tuple[int, str] | None:
    from .datasets.encoding import vr_of
    from .errors import InvalidRequest
    from .queries.keys import key_of

    if not name[:1].isupper() and not name.startswith("("):
        return None
    try:
        tag = key_of(name).tag
    except InvalidRequest:
        return None
    vr = vr_of(tag)
    return tag, "LO" if vr == "UN" else vr


def key(name: Any, asked: Any) -> Any:
    """The value of a key with what its pseudonyms stand for."""
    if isinstance(asked, str):
        if asked.startswith("hidden-"):
            return "\\".join(real(part) for part in asked.split("\\"))
        where = _tag_of(str(name)) if _masking else None
        if where is not None and where[1] in ("DA", "DT"):
            return _SHIFTED.sub(lambda match: day(match[0].replace("-", ""), back=True), asked)
        return asked
    if _masking and isinstance(asked, dt.date) and asked.year < _LAST:
        return asked + dt.timedelta(weeks=WEEKS)
    if _masking and type(asked).__name__ == "datetime64":
        import numpy as np

        return asked + np.timedelta64(7 * WEEKS, "D") if asked < np.datetime64(f"{_LAST}-01-01") else asked
    if isinstance(asked, slice):
        return slice(key(name, asked.start), key(name, asked.stop))
    if isinstance(asked, list | tuple):
        return type(asked)(key(name, one) for one in asked)
    return asked


# -- tables, data sets -----------------------------------------------------------------------------------------------


def frame(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it may be given to the user now: the same, or another with pseudonyms."""
    if not _masking:
        return noted(table)  # type: ignore[no-any-return]
    made = table.copy(deep=False)
    made.attrs = {}  # which pandas copies with each column
    columns = {name: _column(str(name), made[name]) for name in made.columns}
    made = made.assign(**{name: column for name, column in columns.items() if column is not None})
    made.attrs = attributes(table.attrs)
    return made


def _column(name: str, column: pd.Series) -> Any:
    """The column as it may be shown; None where it stays as it is."""
    import pandas as pd

    from .datasets.cells import objects

    if name == "dataset":
        return objects([dataset(one) for one in column]).set_axis(column.index)
    if name == "path":
        hidden = [path(one) if isinstance(one, str) else one for one in column]
        return pd.Series(hidden, index=column.index, dtype=column.dtype)
    where = _tag_of(name)
    if where is None:
        return None
    if column.dtype.kind == "M":
        earliest = pd.Timestamp.min + pd.Timedelta(weeks=WEEKS)
        moved = column.where(column > earliest) - pd.Timedelta(weeks=WEEKS)
        return moved.where(column.isna() | (column.dt.year >= _LAST), column) if hides(*where) else None
    if column.dtype.kind in "iufbm" or (column.dtype != object and not _kind(*where)) or column.isna().all():
        return None
    if column.dtype == object:  # several values, items of sequences, bytes
        return pd.Series([value(*where, one) for one in column], index=column.index, dtype=object)
    codes, uniques = pd.factorize(column.astype(object), use_na_sentinel=True)
    known = [value(*where, one) for one in uniques]
    many = [pd.NA if code < 0 else known[code] for code in codes.tolist()]
    return pd.Series(many, index=column.index, dtype=column.dtype)


def attributes(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """The ``attrs`` of a table or array as they may be shown now."""
    if not _masking:
        return dict(attrs)
    made: dict[Any, Any] = {}
    for name, found in attrs.items():
        if name == "problems":
            made[name] = [_problem(one) for one in found]
        elif name == "keys":
            made[name] = {word: _named(word, one) for word, one in found.items()}
        elif name == "remarks":
            made[name] = [said(one) for one in found]
        else:
            made[name] = _named(str(name), found)
    return made


def _problem(problem: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(problem)
    if "path" in made:
        made["path"] = path(made["path"])
    if "text" in made and "column" in made:
        made["text"] = pseudonym(str(made["text"]))
    if "why" in made:
        made["why"] = said(str(made["why"]))
    return made


def dataset(found: Dataset) -> Dataset:
    """The pydicom Dataset as it may be given to the user now: itself, changed in place while masking is on."""
    from pydicom.dataset import Dataset

    if not _masking or not isinstance(found, Dataset):
        return found
    for element in found:
        tag, vr = int(element.tag), str(element.VR)
        if vr == "SQ":
            for item in element.value:
                dataset(item)
        elif vr == "UN" and tag >> 16 & 1:
            element.value = b"hidden"
        elif element.value and _kind(tag, vr):
            many = not isinstance(element.value, str) and hasattr(element.value, "__iter__") and vr != "PN"
            shown = [value(tag, vr, str(one)) for one in element.value] if many else value(tag, vr, str(element.value))
            element._value = element._convert_value(shown)
    return found
