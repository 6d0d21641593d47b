"""A form for the keys of a query: a field for each, by its VR; what it gives are the keywords of `find`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..amounts import counted
from ..datasets.encoding import vr_of
from ..errors import DicomlabError, InvalidRequest, did_you_mean
from ..level import QueryLevel
from ..queries.keys import WILD, Key, key_of, values_of, wanted
from .code import Code
from .unsaved import HERE, Unsaved

#: The fields of a form for each level.
USUAL: Final[dict[QueryLevel, tuple[str, ...]]] = {
    QueryLevel.PATIENT: ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    QueryLevel.STUDY: (
        "PatientName", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription", "AccessionNumber",
    ),
    QueryLevel.SERIES: (
        "PatientName", "PatientID", "StudyDate", "Modality", "SeriesDescription", "BodyPartExamined",
    ),
    QueryLevel.IMAGE: ("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "SOPClassUID"),
}  # fmt: skip
_MODALITIES = ("CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RTSTRUCT", "RTDOSE", "SEG", "SR")
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "Modality": _MODALITIES,
    "ModalitiesInStudy": _MODALITIES,
    "PatientSex": ("F", "M", "O"),
}
_INPUTS = {"DA": "date", "TM": "time"}
_HINTS = {
    "PN": "DOE* (* for any letters, ? for one)",
    "UI": "digits and dots",
    "DT": "20240131, or 20240101-20240331",
}


@dataclass(frozen=True)
class Field:
    """One key of a form."""

    key: str  # keyword, or path into a sequence
    label: str  # the name in PS3.6
    kind: str  # "text", "date", "time" (both with from and to) or "choice"
    hint: str
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: Key, label: str = "") -> Field:
        """The field for a key, by its VR.

        Examples
        --------
        >>> Field.of(key_of("StudyDate")).kind, Field.of(key_of("PatientName")).label
        ('date', "Patient's Name")
        """
        from pydicom.datadict import dictionary_description

        vr, word = vr_of(key.tag), key.name.rpartition(".")[2]
        if vr == "SQ":
            raise InvalidRequest(f"{key.name} is a sequence", advice=f"Name an attribute in it: {key.name}[0].…")
        try:
            label = label or dictionary_description(key.tag)
        except KeyError:
            label = key.name
        choices = CHOICES.get(word, ())
        kind = "choice" if choices else _INPUTS.get(vr, "text")
        hint = _HINTS.get(vr, "* for any letters, ? for one" if vr in WILD else "a number")
        return cls(key.name, label, kind, "" if kind in ("date", "time") else "others" if choices else hint, choices)


class Form(Unsaved):
    """Fields for the keys of a query; what is typed in is in ``keywords``, as `find` takes it.

    Parameters
    ----------
    keys
        A query level, for its usual keys, or keys of your own: keywords of PS3.6, or paths into sequences.
    call
        How the line of `code` begins; default ``pacs.find("STUDY"`` with the level.
    button
        What stands on the button.
    labels
        Of fields, by key, where the name in PS3.6 is not to be shown.
    names
        Under which a key is in ``keywords``, where it is not its own.

    Raises
    ------
    InvalidRequest
        There is no such key.

    Examples
    --------
    >>> form = Form("STUDY")
    >>> form.set(PatientName="DOE*", StudyDate="20240101-", ModalitiesInStudy=["CT", "MR"])
    >>> form.code()
    pacs.find("STUDY", PatientName='DOE*', StudyDate='20240101-', ModalitiesInStudy=['CT', 'MR'])
    """

    _esm = (HERE / "form.js").read_text("utf-8")
    _css = (HERE / "form.css").read_text("utf-8")

    def __init__(
        self,
        keys: str | Sequence[str] = "STUDY",
        *,
        call: str | None = None,
        button: str = "Query",
        labels: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        level = QueryLevel.of(keys) if isinstance(keys, str) else None
        words = USUAL[level] if level is not None else tuple(keys)
        if not words:
            raise InvalidRequest("a form without keys", advice='Name some, or a level such as "STUDY".')
        given = {key_of(word).name: word for word in words}
        named = {key_of(word).name: text for word, text in (labels or {}).items()}
        self.fields = {name: Field.of(key_of(name), named.get(name, "")) for name in given}
        self._names = {key_of(word).name: name for word, name in (names or {}).items()}
        self._call = call if call is not None else f'pacs.find("{level or QueryLevel.STUDY}"'
        self._button = button
        self._entered: dict[str, Any] = {}  # as the browser has it: a text, two texts, or several choices
        self._status, self._busy = "", False
        self._callbacks: list[Callable[[Form], Any]] = []
        super().__init__()

    # -- what it gives -----------------------------------------------------------------------------------------------

    @property
    def keywords(self) -> dict[str, Any]:
        """The keys that are filled in, as `find` takes them.

        Raises
        ------
        InvalidRequest
            What is in a field is no value of its key.
        """
        found = {name: self._value(name) for name in self.fields if self._filled(name)}
        wanted(found)
        return {self._names.get(name, name): value for name, value in found.items()}

    def code(self) -> Code:
        """The line that asks the same without the form."""
        keys = self.keywords
        plain = [f"{name}={value!r}" for name, value in keys.items() if name.isidentifier()]
        paths = {name: value for name, value in keys.items() if not name.isidentifier()}
        parts = [*plain, *([f"**{paths!r}"] if paths else [])]
        glue = "" if self._call.endswith("(") else ", " if parts else ""
        return Code(f"{self._call}{glue}{', '.join(parts)})")

    # -- what is in it -----------------------------------------------------------------------------------------------

    def set(self, **keys: Any) -> None:
        """Fill fields in from Python, with what `find` takes; "" or None empties one.

        Raises
        ------
        InvalidRequest
            There is no such field, or it cannot hold that.
        """
        back = {name: key for key, name in self._names.items()}
        entered = {}
        for name, value in keys.items():
            field = self.fields.get(back.get(name, name))
            if field is None:
                raise InvalidRequest(
                    f"the form has no field {name!r}{did_you_mean(name, list(self.fields))}",
                    advice=f"It has {', '.join(self.fields)}.",
                )
            entered[field.key] = _entry(field, values_of(key_of(field.key), value))
        self._entered.update(entered)
        self.tell(kind="content", **self.content())

    def clear(self) -> None:
        """Empty every field."""
        self._entered = {}
        self.tell(kind="content", **self.content())

    def say(self, text: str, *, busy: bool | None = None) -> None:
        """Show a line below the form; `busy` says whether its question is being asked."""
        self._status = text
        self._busy = self._busy if busy is None else busy
        self.tell(kind="status", status=text, busy=self._busy)

    def on_submit(self, function: Callable[[Form], Any]) -> None:
        """Call a function with the form when its button is pressed; what it raises is shown below."""
        self._callbacks.append(function)

    def submit(self) -> None:
        """As the button does."""
        if self._problems():
            return
        for function in self._callbacks:
            try:
                function(self)
            except Exception as error:
                self.say(words_of(error), busy=False)

    @property
    def summary(self) -> str:
        """What it is for, without what is typed in."""
        return f"Form of {counted(len(self.fields), 'key')}: {', '.join(self.fields)}"

    def __str__(self) -> str:
        try:
            return f"Form {self.code()}"
        except InvalidRequest as error:
            return f"Form: {error}"

    # -- messages ----------------------------------------------------------------------------------------------------

    def content(self) -> dict[str, Any]:
        """Fields, what is in them, the code and what is wrong with it."""
        return {
            "fields": [asdict(field) for field in self.fields.values()],
            "entered": self._entered,
            "button": self._button,
            "status": self._status,
            "busy": self._busy,
            **self._remarks(),
        }

    def hear(self, message: dict[str, Any]) -> None:
        """What was typed in, or that the button was pressed."""
        entered = message.get("entered")
        if isinstance(entered, dict):
            self._entered = {name: value for name, value in entered.items() if name in self.fields}
            self.tell(kind="remarks", **self._remarks())
        if message.get("kind") == "submit":
            self.submit()

    def _remarks(self) -> dict[str, Any]:
        problems = self._problems()
        return {"problems": problems, "code": "" if problems else str(self.code())}

    def _problems(self) -> dict[str, str]:
        """What is wrong with each field, in words."""
        found = {}
        for name in self.fields:
            if self._filled(name):
                try:
                    wanted({name: self._value(name)})
                except InvalidRequest as error:
                    found[name] = str(error)
        return found

    def _filled(self, name: str) -> bool:
        value = self._entered.get(name)
        return any(value) if isinstance(value, list) else bool(str(value or "").strip())

    def _value(self, name: str) -> Any:
        """What is in a field, as `find` takes it."""
        value, field = self._entered[name], self.fields[name]
        if field.kind == "choice":
            chosen = [str(one).strip() for one in value if str(one).strip()]
            return chosen[0] if len(chosen) == 1 else chosen
        if field.kind in ("date", "time"):
            first, last = (re.sub("[-:]", "", str(end)) for end in value)
            return first if first == last else f"{first}-{last}"
        return str(value).strip()


def _entry(field: Field, values: tuple[Any, ...]) -> Any:
    """The value of a key as its field holds it."""
    if field.kind == "choice":
        return [str(value) for value in values]
    if field.kind not in ("date", "time"):
        return "\\".join(str(value) for value in values)
    if not values:
        return ["", ""]
    if len(values) > 1:
        raise InvalidRequest(f"the field {field.key} holds one {field.kind} or range", advice="Ask by find instead.")
    first, dash, last = str(values[0]).partition("-")
    return [_iso(field.kind, first), _iso(field.kind, last if dash else first)]


def _iso(kind: str, text: str) -> str:
    """A DA or TM as an input of a browser holds it."""
    if not text:
        return ""
    if kind == "date":
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    return ":".join(part for part in (text[:2], text[2:4] or "00", text[4:6]) if part)


def words_of(error: Exception) -> str:
    """An error as it is shown in a widget."""
    return str(error) if isinstance(error, DicomlabError) else f"{type(error).__name__}: {error}"
