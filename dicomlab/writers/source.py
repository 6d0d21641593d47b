"""The instances that a written object is derived from: whose they are, and which of them lie where."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from ..amounts import counted
from ..errors import BadData, BadFile, GeometryError, InvalidRequest
from ..geometry.geometry import SAME_DIRECTION, SAME_PLACE, Floats, normal
from ..outgoing.outgoing import outgoing

#: Of the Patient, Clinical Trial Subject, General Study, Patient Study and Clinical Trial Study modules: what a derived
#: object has in common with its sources (PS3.3 C.7.1.1, C.7.1.3, C.7.2.1, C.7.2.2).
PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate", "PatientBirthTime", "PatientSex", "QualityControlSubject", "OtherPatientNames",
    "OtherPatientIDsSequence", "EthnicGroup", "PatientComments", "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence",
    "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
)  # fmt: skip
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyID",
    "StudyDescription", "ReferringPhysicianName", "PhysiciansOfRecord", "ProcedureCodeSequence",
    "LongitudinalTemporalInformationModified", "PatientAge", "PatientSize", "PatientWeight",
    "AdmittingDiagnosesDescription", "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
    "TimezoneOffsetFromUTC",
)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """One plane of a source image: a file, or a frame of one."""

    dataset: Dataset
    position: Floats  # (3,) mm, LPS
    orientation: Floats  # (6,)
    frame: int = 0  # its number from 1; 0: the file has but one


@dataclass(frozen=True)
class Source:
    """What `like=` named: headers of instances of one study, and of these the series that is derived from."""

    datasets: tuple[Dataset, ...]  # of the series, in the order they were given; at least one
    paths: dict[str, str]  # SOPInstanceUID: its file, "" where it is in memory

    @property
    def first(self) -> Dataset:
        """The first of them."""
        return self.datasets[0]

    @property
    def modality(self) -> str:
        """Modality of the series."""
        return text(self.first, "Modality")

    @cached_property
    def frames_of_reference(self) -> set[str]:
        """Their FrameOfReferenceUIDs, "" of those that have none."""
        return {text(one, "FrameOfReferenceUID") for one in self.datasets}

    @cached_property
    def images(self) -> list[Image]:
        """The planes that say where they lie."""
        found = []
        for dataset in self.datasets:
            several = "PerFrameFunctionalGroupsSequence" in dataset
            found += [Image(dataset, point, turn, number * several) for number, point, turn in _places(dataset)]
        return found

    def named(self, uids: Iterable[str]) -> list[Dataset]:
        """The instances of these UIDs that are among them."""
        wanted = set(uids)
        return [one for one in self.datasets if text(one, "SOPInstanceUID") in wanted]

    def at(self, position: Floats, orientation: Floats) -> list[Dataset]:
        """The instances a plane there is made from: those that lie there, else its neighbours, else all."""
        there = self._near(position, orientation)
        if there is None:
            return list(self.datasets)
        return list({id(one.dataset): one.dataset for one in there}.values())

    def frames_at(self, position: Floats, orientation: Floats) -> dict[str, list[int]]:
        """Of multi-frame instances the frames that a plane there is made from, by SOPInstanceUID; none for all."""
        found: dict[str, list[int]] = {}
        for one in self._near(position, orientation) or ():
            if one.frame:
                found.setdefault(text(one.dataset, "SOPInstanceUID"), []).append(one.frame)
        return found

    def _near(self, position: Floats, orientation: Floats) -> list[Image] | None:
        across, (points, normals) = normal(orientation), self._planes
        if not len(points) or (np.abs(normals @ across) <= 1 - SAME_DIRECTION).any():
            return None
        away = (points - position) @ across
        there = np.abs(away) <= SAME_PLACE
        if not there.any():
            below, above = away[away < 0], away[away > 0]
            ends = ([below.max()] if below.size else []) + ([above.min()] if above.size else [])
            there = (np.abs(away[:, None] - np.array(ends)) <= SAME_PLACE).any(axis=1)
        return [self.images[index] for index in np.flatnonzero(there)]

    @cached_property
    def _planes(self) -> tuple[Floats, Floats]:
        """Positions and normals of the images."""
        return (
            np.array([one.position for one in self.images]).reshape(-1, 3),
            np.array([normal(one.orientation) for one in self.images]).reshape(-1, 3),
        )

    def copied(self, keywords: Iterable[str], of: Dataset | None = None) -> list[DataElement]:
        """Elements of an instance (the first, if none is given) as they are to be written; absent ones are left out."""
        whose = self.first if of is None else of
        return [plain(whose[keyword]) for keyword in keywords if keyword in whose]


def text(dataset: Dataset, keyword: str) -> str:
    """A value as text, "" where there is none."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def plain(element: DataElement) -> DataElement:
    """A copy without private parts, and of names without the bytes of another character set."""
    value: Any = element.value
    if element.VR == "SQ":
        value = []
        for item in element.value:
            made = Dataset()
            for part in item:
                if not part.tag.is_private and part.tag.element != 0 and part.keyword != "SpecificCharacterSet":
                    made.add(plain(part))
            value.append(made)
    elif element.VR == "PN" and value is not None:
        several = not isinstance(value, str) and hasattr(value, "__iter__") and type(value).__name__ == "MultiValue"
        value = [str(one) for one in value] if several else str(value)
    return DataElement(element.tag, element.VR, value, validation_mode=config.IGNORE)


def source_of(like: Any, volume: Any) -> Source:
    """What a written object may say of patient, study and sources.

    Parameters
    ----------
    like
        Instances: a table with a column path, rows, paths, data sets, or a volume that was loaded from some.
    volume
        What is written; where it is an array it says which series of several it was made from.

    Raises
    ------
    InvalidRequest
        There is no `like`, it names nothing, or instances of several patients, studies or series.
    """
    if like is None:
        raise InvalidRequest(
            "write does not know whose this is",
            advice="Give like=, the instances it is derived from: patient, study and references come from there.",
        )
    if isinstance(like, xr.DataArray):
        like = like.dicom.instances
    datasets, paths = [], {}
    for one in outgoing(like):
        if one.trouble:
            raise BadFile(one.path, one.trouble)
        dataset = one.dataset if one.dataset is not None else _header(one.path)
        datasets.append(dataset)
        paths[text(dataset, "SOPInstanceUID")] = one.path
    return Source(tuple(_series(_study(datasets, volume), volume)), paths)


def _header(path: str) -> Dataset:
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values of others are no news here
            return dcmread(path, stop_before_pixels=True, force=True)
    except Exception as error:  # pydicom raises what it meets
        raise BadFile(path, f"cannot be read: {error}") from None


def _named(datasets: Sequence[Dataset], volume: Any) -> list[Dataset]:
    """Those that the coordinate SOPInstanceUID of the array names."""
    if not isinstance(volume, xr.DataArray) or "SOPInstanceUID" not in volume.coords:
        return []
    uids = set(np.ravel(volume.coords["SOPInstanceUID"].values).tolist())
    return [one for one in datasets if text(one, "SOPInstanceUID") in uids]


def _study(datasets: list[Dataset], volume: Any) -> list[Dataset]:
    """The instances of the one study there is, or that the volume was made from."""
    owners = {_owner(one) for one in datasets}
    if len(owners) > 1:
        chosen = {_owner(one) for one in _named(datasets, volume)}
        if len(chosen) != 1:
            patients = len({patient for patient, _ in owners})
            studies = counted(len(owners), "study", "studies")
            whose = counted(patients, "patient")
            raise InvalidRequest(
                f"like= holds instances of {studies} of {whose}", advice="Choose the rows of one study."
            )
        datasets = [one for one in datasets if _owner(one) in chosen]
    for keyword in ("StudyInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not all(text(one, keyword) for one in datasets):
            raise InvalidRequest(f"an instance of like= has no {keyword}", advice="Leave it out.")
    return datasets


def _owner(dataset: Dataset) -> tuple[tuple[str, str, str], str]:
    patient = text(dataset, "PatientID"), text(dataset, "IssuerOfPatientID"), text(dataset, "PatientName")
    return patient, text(dataset, "StudyInstanceUID")


def _series(datasets: list[Dataset], volume: Any) -> list[Dataset]:
    """The instances of the series that the volume was made from."""
    by_series: dict[str, list[Dataset]] = {}
    for one in datasets:
        by_series.setdefault(text(one, "SeriesInstanceUID"), []).append(one)
    chosen = {text(one, "SeriesInstanceUID") for one in _named(datasets, volume)}
    if not chosen and len(by_series) > 1 and isinstance(volume, xr.DataArray):
        chosen = {uid for uid, members in by_series.items() if _may_hold(members, volume)}
    if not isinstance(volume, xr.DataArray):
        return datasets
    if len(by_series) == 1 or len(chosen) > 1:
        chosen = chosen or set(by_series)
    if len(chosen) != 1 and len(by_series) > 1 and not _named(datasets, volume):
        raise InvalidRequest(
            f"like= holds {len(by_series)} series, and the array does not say which it was made from",
            advice="Choose the rows of that series.",
        )
    return [one for uid in by_series if uid in chosen for one in by_series[uid]]


def _may_hold(datasets: Sequence[Dataset], volume: xr.DataArray) -> bool:
    """Whether the planes of the array are planes of these images."""
    try:
        frame, origin, across = volume.dicom.frame_of_reference, volume.dicom.origin, volume.dicom.matrix
    except GeometryError:
        return False
    for one in datasets:
        if text(one, "FrameOfReferenceUID") != frame:
            return False
        for _, position, turn in _places(one):
            turned = np.abs(across.T @ normal(turn)).max() > 1 - SAME_DIRECTION
            if turned and abs((position - origin) @ normal(turn)) <= SAME_PLACE:
                return True
    return False


def _places(dataset: Dataset) -> list[tuple[int, Floats, Floats]]:
    """Number, position and orientation of each frame that has them."""
    places: list[tuple[Any, Any]] = []
    if "PerFrameFunctionalGroupsSequence" in dataset:
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            found = []
            for group, keyword in (
                ("PlanePositionSequence", "ImagePositionPatient"),
                ("PlaneOrientationSequence", "ImageOrientationPatient"),
            ):
                items = frame.get(group) or shared.get(group) or [Dataset()]
                found.append(items[0].get(keyword))
            places.append((found[0], found[1]))
    else:
        places = [(dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient"))]
    made = []
    for number, (position, turn) in enumerate(places, 1):
        try:
            point, six = np.array(position, np.float64), np.array(turn, np.float64)
            if point.shape == (3,) and six.shape == (6,):
                normal(six)
                made.append((number, point, six))
        except (TypeError, ValueError, BadData, GeometryError):
            continue
    return made
