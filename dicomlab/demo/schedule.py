"""What is scheduled in the demo PACS: synthetic requests whose patients have earlier studies there, or have not."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence

from .phantom import PATIENTS, _code, _uid

#: The patient of the phantom of that name (or a new one), days from today, time, modality, station, procedure, codes.
_PLAN: tuple[tuple[str | dict[str, Any], int, str, str, str | list[str], str, tuple[str, str]], ...] = (
    ("ct", 0, "083000", "CT", "DEMOCT1", "CT thorax", ("24627-2", "CT Chest")),
    ("mr", 0, "093000", "MR", "DEMOMR1", "MR head", ("24590-2", "MR Brain")),
    ("pet", 0, "101500", "PT", "DEMOPT1", "PET whole body", ("44136-0", "PET whole body")),
    (
        {
            "PatientID": "DEMO-005", "PatientName": "Νέος^Ἀσθενής", "PatientBirthDate": "19900505", "PatientSex": "M",
            "SpecificCharacterSet": "ISO_IR 192",
        },
        0, "113000", "CT", ["DEMOCT1", "DEMOCT2"], "CT abdomen", ("24558-9", "CT Abdomen"),
    ),
    ("mr time", 0, "220000", "MR", "DEMOMR1", "MR perfusion", ("24590-2", "MR Brain")),
    ("ct", 1, "080000", "CT", "DEMOCT2", "CT thorax, control", ("24627-2", "CT Chest")),
    ("pet", 3, "140000", "CT", "DEMOCT2", "CT for attenuation", ("24627-2", "CT Chest")),
    ("mr", -1, "160000", "MR", "DEMOMR1", "MR head, not done", ("24590-2", "MR Brain")),
)  # fmt: skip
_OF_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "SpecificCharacterSet")


def schedule(seed: int = 0, today: dt.date | None = None) -> list[Dataset]:
    """Worklist entries around a day, one scheduled step each.

    Parameters
    ----------
    seed
        Of the phantoms, whose patients these are.
    today
        Default the day on which it is called.

    Examples
    --------
    >>> steps = schedule(today=dt.date(2024, 4, 1))
    >>> len(steps), steps[0].PatientID, steps[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate
    (8, 'DEMO-001', '20240401')
    """
    day = dt.date.today() if today is None else today
    return [_entry(number, seed, day) for number in range(len(_PLAN))]


def _entry(number: int, seed: int, today: dt.date) -> Dataset:
    patient, days, time, modality, station, procedure, (code, meaning) = _PLAN[number]
    known = PATIENTS[patient] if isinstance(patient, str) else patient
    found, step = Dataset(), Dataset()
    for name in _OF_PATIENT:
        setattr(found, name, known[name])
    found.PatientWeight = 70
    found.AccessionNumber = f"W{seed:02d}-{number + 1:04d}"
    found.RequestedProcedureID = f"RP{number + 1}"
    found.RequestedProcedureDescription = f"{procedure} (phantom)"
    found.RequestedProcedureCodeSequence = Sequence([_code(code, "LN", meaning)])
    found.RequestedProcedurePriority = "ROUTINE"
    found.StudyInstanceUID = _uid(seed, "scheduled", number)
    found.ReferringPhysicianName = found.RequestingPhysician = "Doctor^Demo"
    found.CurrentPatientLocation = "demo ward"
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = f"{today + dt.timedelta(days=days):%Y%m%d}"
    step.ScheduledProcedureStepStartTime = time
    step.Modality = modality
    step.ScheduledPerformingPhysicianName = "Technologist^Demo"
    step.ScheduledProcedureStepDescription = procedure
    step.ScheduledProcedureStepID = f"SPS{number + 1}"
    step.ScheduledStationName = "demo room"
    step.ScheduledProtocolCodeSequence = Sequence([_code(code, "LN", meaning)])
    found.ScheduledProcedureStepSequence = Sequence([step])
    return found
