"""Identifiers of C-FIND requests: from keys to data sets, by the information model (PS3.4 C.4.1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from ..errors import BadFile, InvalidRequest
from ..level import QueryLevel
from ..options import options
from .keys import Key, Wanted, key_of, wanted
from .models import IHE_KEYS, ORDER, RETURN_KEYS, UNASKED, checked_level, level_of_key, levels_of, unique_keys_above
from .models import PATIENT_ROOT as PATIENT_ROOT
from .models import STUDY_ROOT as STUDY_ROOT

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NOT_KEYS = {
    "QueryRetrieveLevel": "The level is the first argument of find.",
    "SpecificCharacterSet": "It is set by itself where a key is not ASCII.",
}
_SAID_BY_US: Final = (0x00080005, 0x00080052)  # SpecificCharacterSet, QueryRetrieveLevel
MOST_IDENTIFIERS: Final = 1000  # from lists in keys that must be asked for one value at a time


def identifiers(
    level: str | None,
    keys: Mapping[Any, Any],
    *,
    model: str = STUDY_ROOT,
    template: Dataset | str | os.PathLike[str] | None = None,
    hierarchical: bool = True,
    return_keys: Sequence[str | int] | None = None,
    charset: str = "ISO_IR 192",
) -> list[Dataset]:
    """The Identifiers that ask for these keys; several where one cannot hold them.

    Parameters
    ----------
    level
        "PATIENT", "STUDY", "SERIES" or "IMAGE"; None for a model without levels (worklists and others).
    keys
        By keyword, tag or path. "" or None is a return key; a list on a UI key is one Identifier, on another
        key one for each value (PS3.4 C.2.2.2.2); ranges as "a-b", "a-", "-b", (a, b) or slice(a, b).
    model
        SOP class UID of the information model's FIND.
    template
        A data set, or a file with one, that the keys are copied over.
    hierarchical
        Ask by the baseline rules: one value for each unique key above, and keys of this level only.
    return_keys
        What is asked for beside the keys; None for those of `RETURN_KEYS`.
    charset
        SpecificCharacterSet where a key is not ASCII.

    Raises
    ------
    InvalidRequest
        Nothing is selected, a key or value is none, or the model does not allow the combination.

    Examples
    --------
    >>> one, = identifiers("STUDY", {"PatientName": "DOE*", "StudyDate": ("20240101", "20240331")})
    >>> one.StudyDate, one.QueryRetrieveLevel
    ('20240101-20240331', 'STUDY')
    """

    asked = wanted(keys)
    for one in asked:
        if one.key.name in _NOT_KEYS:
            raise InvalidRequest(f"{one.key.name} is no key", advice=_NOT_KEYS[one.key.name])
    base = _template(template)
    if not asked and not len(base) and not return_keys:
        raise InvalidRequest(
            "nothing was requested",
            advice='Give a key, such as PatientName="DOE*", or PatientName="" for all.',
        )
    defaults: Sequence[str | int] = return_keys or ()
    if level is not None:
        found = checked_level(level, model)
        asked = _by_the_rules(found, model, asked, base, hierarchical)
        defaults = RETURN_KEYS[found] if return_keys is None else return_keys
        uniques = [one.unique_key for one in levels_of(model) if ORDER[one] <= ORDER[found]]
        defaults = [*uniques, *defaults]
    made: list[Dataset] = []
    for choice in _choices(asked):
        identifier = deepcopy(base)
        for default in defaults:
            key = key_of(default)
            if level is not None and level_of_key(key, found, model) is not found and hierarchical:
                continue  # of a level above: only the unique keys, which are among the keys
            _put(identifier, key, (), keep=True)
        for key, values in choice:
            _put(identifier, key, values)
        if level is not None:
            identifier.QueryRetrieveLevel = found.value
        _declare(identifier, charset)
        made.append(identifier)
    return made


def _template(template: Dataset | str | os.PathLike[str] | None) -> Dataset:
    from pydicom.dataset import Dataset
    from pydicom.filereader import dcmread

    if template is None:
        return Dataset()
    if not isinstance(template, Dataset):
        try:
            template = dcmread(template, force=True)
        except Exception as error:  # pydicom raises anything on broken bytes
            raise BadFile(template, f"no template: {error}") from None
    base = Dataset()
    for element in template:
        if element.tag.group > 2 and element.tag.element and element.tag not in _SAID_BY_US:
            base.add(deepcopy(element))
    return base


def _by_the_rules(
    level: QueryLevel, model: str, asked: list[Wanted], base: Dataset, hierarchical: bool
) -> list[Wanted]:
    """The keys that may stand in a query at this level (PS3.4 C.4.1.2.1, C.4.1.3.1)."""
    if not hierarchical:
        return asked
    given = {one.key.name: one for one in asked}
    above = unique_keys_above(level, model)
    for word in above:
        values = given[word].values if word in given else tuple([base[word].value] if base.get(word) else [])
        if len(values) != 1:
            what = "is missing" if not values else f"has {len(values)} values"
            raise InvalidRequest(
                f"a query at {level} level wants one value for {word}, which {what}",
                advice=f"Ask at a level above first, and give {word}.",
            )
        if any(char in str(values[0]) for char in "*?"):
            raise InvalidRequest(f"{word} takes no wild cards in a query at {level} level")
    kept: list[Wanted] = []
    for one in asked:
        own = level_of_key(one.key, level, model)
        if own is level or one.key.name in above:
            kept.append(one)
        elif one.values:
            raise InvalidRequest(
                f"{one.key.name} belongs to the {own} level, and this query is at {level} level",
                advice=f"Ask for it at {own} level first, or with relational queries.",
            )
    return kept


def _choices(asked: list[Wanted]) -> list[list[tuple[Key, tuple[Any, ...]]]]:
    """One list of keys and values for each Identifier: UIDs together, other values one by one."""
    ways = [
        [(one.key, one.values)] if one.key.vr == "UI" or len(one.values) < 2 else
        [(one.key, (value,)) for value in one.values]
        for one in asked
    ]  # fmt: skip
    count = 1
    for way in ways:
        count *= len(way)
    if count > MOST_IDENTIFIERS:
        raise InvalidRequest(
            f"these lists make {count} queries, and at most {MOST_IDENTIFIERS} are sent",
            advice="Ask for less at once, or by UIDs, of which a query takes a list.",
        )
    return [list(choice) for choice in product(*ways)]


def _put(data_set: Dataset, key: Key, values: tuple[Any, ...], *, keep: bool = False) -> None:
    """Set one key; `keep` leaves what is there."""
    from pydicom.config import IGNORE
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    for tag, item in key.path[:-1]:
        if tag not in data_set:
            data_set.add_new(tag, "SQ", [])
        sequence = data_set[tag].value
        while len(sequence) <= item:
            sequence.append(Dataset())
        data_set = sequence[item]
    if keep and key.tag in data_set:
        return
    vr = key.vr
    value: Any = [] if vr == "SQ" else None if not values else values[0] if len(values) == 1 else list(values)
    if vr in ("LT", "ST", "UT") and values:
        value = values[0]
    data_set[key.tag] = DataElement(key.tag, vr, value, validation_mode=IGNORE)  # R3.7


def _declare(data_set: Dataset, charset: str) -> None:
    """Say the character set where one is needed (R3.18)."""
    texts = [str(element.value) for element in data_set.iterall() if element.VR != "SQ"]
    if all(text.isascii() for text in texts):
        return
    from ..datasets.charset import codecs_of

    codec = codecs_of(charset.encode())[0][0]
    if "\\" not in charset:
        for text in texts:
            try:
                text.encode(codec)
            except (UnicodeError, LookupError):
                raise InvalidRequest(
                    f"a key cannot be written in the character set {charset}: {text!r}",
                    advice="Use ISO_IR 192 where the peer takes it.",
                ) from None
    data_set.SpecificCharacterSet = charset.split("\\")


def encode(identifier: Dataset, *, implicit: bool) -> bytes:
    """The data set in Implicit or Explicit VR Little Endian.

    Raises
    ------
    InvalidRequest
        It is empty, or pydicom cannot write it.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    if not len(identifier):
        raise InvalidRequest("an Identifier without attributes is not sent")
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, implicit
    try:
        write_dataset(out, identifier)
    except Exception as error:  # pydicom raises anything on values that do not fit
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidRequest(f"the request cannot be written: {why}") from None
    return bytes(out.getvalue())


def columns_of(shares: Iterable[tuple[QueryLevel | None, Mapping[Any, Any]]]) -> list[str]:
    """Names of the columns that a question gives, from its keys by level, highest first.

    The unique keys stand first, then what is asked for at each level, lowest first. A key is named by its keyword,
    however it was given, and one in a sequence by its path.

    Examples
    --------
    >>> columns_of([(None, {"(0010,0020)": "1", "ScheduledProcedureStepSequence": {"Modality": "CT"}})])
    ['PatientID', 'ScheduledProcedureStepSequence[0].Modality']
    """
    names: dict[str, None] = {}
    unasked: dict[str, None] = {}
    for level, keys in reversed(list(shares)):
        if level is not None:
            names |= dict.fromkeys(RETURN_KEYS[level])
            if level is not QueryLevel.PATIENT:
                unasked |= dict.fromkeys(UNASKED)
        names |= dict.fromkeys(one.key.name for one in wanted(keys))
    names |= unasked
    uids = [step.unique_key for step in QueryLevel if step.unique_key in names]
    return [*uids, *(name for name in names if name not in uids)]


def ihe_keys(level: QueryLevel | None, modalities: Iterable[str]) -> list[str]:
    """What IHE wants asked of instances of those modalities, unless ``options.ihe_keys`` is off (R3.11)."""
    if level is not QueryLevel.IMAGE or not options.ihe_keys:
        return []
    return list(dict.fromkeys(name for modality in modalities for name in IHE_KEYS.get(modality, ())))


def attributes_of(identifier: Dataset, path: str = "") -> list[str]:
    """Names of the attributes of an Identifier, those in the items of its sequences by their paths.

    Examples
    --------
    >>> one, = identifiers(None, {"PatientName": "", "ScheduledProcedureStepSequence[0].Modality": "CT"})
    >>> attributes_of(one)
    ['PatientName', 'ScheduledProcedureStepSequence[0].Modality']
    """
    names: list[str] = []
    for element in identifier:
        name = path + Key(((int(element.tag), 0),)).name
        if element.tag in _SAID_BY_US:
            continue
        if element.VR == "SQ" and any(len(item) for item in element.value):
            for number, item in enumerate(element.value):
                names += attributes_of(item, f"{name}[{number}].")
        else:
            names.append(name)
    return names


def describe_keys(keys: Mapping[Any, Any]) -> dict[str, Any]:
    """The keys as they were understood, for `attrs`: keyword to "", a value, or a list of values.

    Examples
    --------
    >>> describe_keys({"StudyDate": ("20240101", None), "PatientID": ["1", "2"], "PatientName": ""})
    {'StudyDate': '20240101-', 'PatientID': ['1', '2'], 'PatientName': ''}
    """
    return {
        one.key.name: "" if not one.values else one.values[0] if len(one.values) == 1 else list(one.values)
        for one in wanted(keys)
    }
