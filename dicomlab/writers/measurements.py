"""Structured reports of measurements, which highdicom makes (PS3.16 TID 1500; extra ``derived``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import groupby
from typing import Any

from ..errors import InvalidRequest, did_you_mean
from .modules import MAKER, finish, new_uid, version
from .required import complete
from .source import Source, text
from .withhighdicom import adopted, blamed, code_of, highdicom, prepared
from .writer import Made, Order

_CLASS = "1.2.840.10008.5.1.4.1.1.88.33"  # Comprehensive SR
_NEEDED = ("name", "value", "unit")
#: Those of the table that `load` gives of a report; the last two are of that report and are not written.
COLUMNS = (*_NEEDED, "code", "finding", "finding_site", "tracking", "tracking_uid", "references", "modifiers", "path")
_OWN = "99DICOMLAB"  # a private coding scheme (PS3.16 8.2): names that have no code of a published one
_SHORT, _LONG = 16, 64  # characters of a code value, and of its meaning


class Measurements:
    """A table of measurements as a report: one row a number.

    Columns ``name``, ``value`` and ``unit`` (UCUM, "1" for none); if wanted ``code`` ("410668003 SCT", of the name),
    ``finding``, ``finding_site`` (text, or value, scheme and meaning of a code), ``tracking`` (what is measured, in
    your words), ``tracking_uid``, and ``references`` (SOP Instance UIDs of `like`). Rows that agree in all of these
    are one group. ``procedure=`` is the code of what was reported, ``observer=`` the name of a person who measured.
    """

    kind = "MEASUREMENTS"
    choices = frozenset(("procedure", "observer"))

    def writes(self, what: Any, source: Source) -> bool:
        """Tables with the columns of a measurement."""
        return are_measurements(what)

    def make(self, order: Order) -> Made:
        """One report."""
        hd = highdicom()
        source = order.source
        rows = _rows(order.what)
        known = {text(one, "SOPInstanceUID"): one for one in source.datasets}
        procedure = order.choices.get("procedure") or ("363679005", "SCT", "Imaging procedure")
        with blamed("SR"):
            groups = [
                self._group(hd, number, list(members), known)
                for number, (_, members) in enumerate(groupby(rows, _together), 1)
            ]
            report = hd.sr.MeasurementReport(
                observation_context=hd.sr.ObservationContext(**_observers(hd, order.choices.get("observer"))),
                procedure_reported=hd.sr.CodedConcept(*code_of(procedure, "procedure")),
                imaging_measurements=groups,
            )
            dataset = hd.sr.ComprehensiveSR(
                evidence=[prepared(one) for one in source.datasets],
                content=report[0],
                series_instance_uid=new_uid(),
                series_number=1,
                sop_instance_uid=new_uid(),
                instance_number=1,
                manufacturer=MAKER,
                is_complete=True,
                is_final=False,
                is_verified=False,
            )
        made = adopted(dataset, order, _CLASS, "SR")
        made.SoftwareVersions = version()
        finish(made, order.attributes)
        complete(made)
        return Made([made])

    @staticmethod
    def _group(hd: Any, number: int, rows: list[dict[str, Any]], known: Mapping[str, Any]) -> Any:
        first = rows[0]
        images = []
        for uid in first["references"]:
            if uid not in known:
                raise InvalidRequest(
                    f"a measurement refers to {uid}, which is none of like=", advice="Give all of them in like=."
                )
            images.append(hd.sr.SourceImageForMeasurementGroup(text(known[uid], "SOPClassUID"), uid))
        sites = [hd.sr.FindingSite(hd.sr.CodedConcept(*first["finding_site"]))] if first["finding_site"] else None
        return hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(
                uid=first["tracking_uid"] or new_uid(), identifier=first["tracking"] or f"measurement {number}"
            ),
            finding_type=hd.sr.CodedConcept(*first["finding"]) if first["finding"] else None,
            finding_sites=sites,
            measurements=[
                hd.sr.Measurement(
                    name=hd.sr.CodedConcept(*row["name"]),
                    value=row["value"],
                    unit=hd.sr.CodedConcept(row["unit"], "UCUM", "no units" if row["unit"] == "1" else row["unit"]),
                )
                for row in rows
            ],
            source_images=images or None,
        )


def are_measurements(what: Any) -> bool:
    """Whether it is a table of measurements."""
    import pandas as pd

    return isinstance(what, pd.DataFrame) and {"name", "value"} <= set(what.columns)


def _together(row: dict[str, Any]) -> Any:
    """What is the same in all rows of a group."""
    return [row[name] for name in ("finding", "finding_site", "tracking", "tracking_uid", "references")]


def _observers(hd: Any, person: Any) -> dict[str, Any]:
    """Who measured: this program, and a person where one is named."""
    device = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=new_uid(), name=MAKER, manufacturer_name=MAKER, model_name=f"{MAKER} {version()}"[:_LONG]
        ),
    )
    if person is None:
        return {"observer_device_context": device}
    who = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121006", "DCM", "Person"),
        observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name=str(person)),
    )
    return {"observer_person_context": who, "observer_device_context": device}


def _rows(table: Any) -> list[dict[str, Any]]:
    """The measurements, checked."""
    if not are_measurements(table):
        raise InvalidRequest(
            f"{type(table).__name__} is no table of measurements", advice="Give columns name, value and unit."
        )
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise InvalidRequest(
            f"the table of measurements has no column {missing[0]}",
            advice='It is a code of UCUM, such as "mm", "ml", "[hnsf\'U]", and "1" where there is none.',
        )
    for name in table.columns:
        if name not in COLUMNS:
            raise InvalidRequest(
                f"measurements have no column {name!r}{did_you_mean(str(name), COLUMNS)}",
                advice=f"They have {', '.join(COLUMNS[:-2])}.",
            )
    if not len(table):
        raise InvalidRequest("there is no measurement", advice="Give at least one row.")
    return [_row(number, row) for number, row in enumerate(table.to_dict("records"), 1)]


def _row(number: int, row: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    value = row["value"]
    if isinstance(value, str | bool) or (not isinstance(value, int | float) and not hasattr(value, "__float__")):
        raise InvalidRequest(f"the value {value!r} of row {number} is no number", advice="Give numbers.")
    found["value"] = float(value)
    if not math.isfinite(found["value"]):
        raise InvalidRequest(
            f"the value of row {number} is {found['value']}, which a report cannot hold", advice="Leave that row out."
        )
    unit = _said(row["unit"])
    if not re.fullmatch(r"[!-~]{1,16}", unit):
        raise InvalidRequest(
            f"the unit {unit!r} of row {number} is no code of UCUM",
            advice='Write mm2 for mm², Cel for °C, um for µm, and "1" where there is no unit.',
        )
    found["unit"] = unit
    name, code = row["name"], _said(row.get("code"))
    if code and isinstance(name, str):
        name = (*code.split(maxsplit=1), name) if " " in code else name
    found["name"] = _coded(name, f"the name of row {number}")
    if not found["name"]:
        raise InvalidRequest(f"row {number} has no name", advice="Say what was measured.")
    for column in ("finding", "finding_site"):
        found[column] = _coded(row.get(column), f"{column} of row {number}")
    for column in ("tracking", "tracking_uid"):
        found[column] = _said(row.get(column))
    references = row.get("references")
    if isinstance(references, Iterable) and not isinstance(references, str):
        found["references"] = [str(uid) for uid in references]
    else:
        found["references"] = [_said(references)] if _said(references) else []
    return found


def _said(value: Any) -> str:
    """Text, "" where there is none (None, NA or NaN)."""
    return value.strip() if isinstance(value, str) else ""


def _coded(value: Any, what: str) -> tuple[str, str, str] | None:
    """A code; of text without one, of a private scheme; None where there is none."""
    if isinstance(value, str):
        meaning = value.strip()[:_LONG]
        if not meaning:
            return None
        word = re.sub(r"[^A-Z0-9]+", "_", meaning.upper()).strip("_")
        if len(word) > _SHORT or not meaning.isascii() or not word:
            word = f"{word[:7]}_{blake2b(meaning.encode(), digest_size=4).hexdigest().upper()}"
        return word, _OWN, meaning
    if value is None or (isinstance(value, float) and math.isnan(value)) or not isinstance(value, Iterable):
        return None
    return code_of(value, what)
