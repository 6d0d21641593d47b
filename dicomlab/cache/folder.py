"""Ask folders, DICOMDIRs and the cache what one asks a peer: the same keys, the same tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import phi
from ..amounts import counted
from ..datasets.cells import objects
from ..datasets.elements import Elements, tag_of
from ..errors import IncompleteRetrieve, InvalidRequest
from ..level import QueryLevel
from ..progress import duration
from ..queries.identifier import columns_of, describe_keys, ihe_keys
from ..queries.keys import key_of
from ..queries.models import IHE_KEYS, PATIENT_ROOT, RETURN_KEYS, STUDY_ROOT, split_keys
from ..scanning.instances import WANTED, instances
from ..scanning.places import Place
from ..scanning.scanning import Found, gather
from .cache import Cache

if TYPE_CHECKING:
    import pandas as pd

    from ..tables.tables import Address

_ORDER = (
    "StudyDate",
    "StudyTime",
    "PatientID",
    "StudyInstanceUID",
    "SeriesNumber",
    "SeriesInstanceUID",
    "InstanceNumber",
    "SOPInstanceUID",
)
_READ = WANTED | {
    tag_of(keyword) for known in (RETURN_KEYS, IHE_KEYS) for keywords in known.values() for keyword in keywords
}


def open_folder(
    *places: Place | Cache | Iterable[Place], progress: Any = None
) -> Folder:
    """Folders, files, DICOMDIRs or a cache, to be asked like a peer.

    Parameters
    ----------
    places
        As for `scan`; or a `Cache`.
    progress
        As `scan` takes it.

    Raises
    ------
    InvalidRequest
        A place does not exist or cannot be read, or none is given.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> folder = open_folder(get_testdata_file("CT_small.dcm"))
    >>> folder.find("STUDY", ModalitiesInStudy="CT").NumberOfStudyRelatedInstances.tolist()
    [1]
    """
    return Folder(places, progress)


def _look(places: Sequence[Any], progress: Any) -> Found:
    """What is in some places and caches now."""
    flat: list[Any] = []
    for place in places:
        flat += [entry.path for entry in place.entries()] if isinstance(place, Cache) else [place]
    if not flat and places:  # nothing but empty caches
        return Found.nothing()
    return gather(flat, progress, _READ)


class Folder:
    """What was found in some places; made by `open_folder`, and looked at again by `refresh` only.

    Attributes
    ----------
    looked_at
        When that was; a datetime, UTC.
    """

    looked_at: dt.datetime

    def __init__(self, places: Sequence[Any], progress: Any = None) -> None:
        self._places = places
        self.refresh(progress=progress)

    def __repr__(self) -> str:
        age = max(dt.datetime.now(dt.UTC) - self.looked_at, dt.timedelta())
        instances = counted(len(self), "instance")
        return f"Folder({instances}, looked at {duration(int(age.total_seconds()))} ago)"

    def refresh(self, *, progress: Any = None) -> Folder:
        """Look at the places again; of their files those are opened that are new or changed, see `scan`.

        Examples
        --------
        >>> from pydicom.data import get_testdata_file
        >>> folder = open_folder(get_testdata_file("CT_small.dcm"))
        >>> before = folder.looked_at
        >>> folder.refresh().looked_at > before
        True
        """
        began = dt.datetime.now(dt.UTC)
        self._found = _look(self._places, progress)
        self._read = _READ
        self._views: list[Elements] | None = None
        self.looked_at = began
        return self

    def __len__(self) -> int:
        return len(self._found.paths)

    @property
    def instances(self) -> pd.DataFrame:
        """The instances table, as of `scan`."""
        return self._found.frame()

    def find(self, level: str = "STUDY", *, limit: int | None = None, raw: bool = False, **keys: Any) -> pd.DataFrame:
        """The patients, studies, series or instances that match, as `Peer.find` gives them.

        Parameters
        ----------
        level
            "PATIENT", "STUDY", "SERIES" or "IMAGE".
        limit
            Rows after which the table is cut.
        raw
            Add a column ``dataset`` with the header of each match as a pydicom Dataset.
        **keys
            Keywords of PS3.6; values match as in a query of a peer. A key of a level below matches where one
            instance below does.

        Raises
        ------
        InvalidRequest
            Nothing is selected, a key is unknown or its value is none.
        """

        from ..queries.matching import matches
        from ..tables.tables import table

        asked = QueryLevel.of(level)
        columns = _columns(asked, keys)
        self._need(keys)
        records: list[Elements] = []
        for group in self._groups(asked):
            match = next((view for view in group if matches(view, keys)), None)
            if match is not None:
                records.append(match)
        columns += ihe_keys(asked, dict.fromkeys(record.text("Modality") for record in records))
        frame = table(records, list(dict.fromkeys(columns)))
        problems = frame.attrs.get("problems", [])
        if raw:
            frame["dataset"] = objects([record.dataset() for record in records])
        by = [name for name in _ORDER if name in frame]
        frame = frame.sort_values(by, kind="stable", na_position="last").reset_index(drop=True)
        cut = limit is not None and len(frame) > limit
        frame = frame.iloc[:limit]
        frame.attrs = {
            "problems": problems,
            "peer": None,
            "level": asked.value,
            "keys": describe_keys(keys),
            "cut": f"cut at the limit of {limit:,} rows" if cut else None,
            "cancelled": False,
        }
        return phi.frame(frame)

    def retrieve(self, what: Any, *, errors: str = "raise") -> pd.DataFrame:
        """The instances of some matches, with their paths; nothing is copied.

        Parameters
        ----------
        what
            A table with UIDs, a row of one, or UIDs, as for `Peer.retrieve`.
        errors
            "raise", or "report" to have what is not here in ``attrs["missing"]``.

        Raises
        ------
        IncompleteRetrieve
            Something that was asked for is not here; what is, is in ``.instances``.
        InvalidRequest
            Nothing is selected, or what was given names nothing.
        """
        import pandas as pd

        from ..tables.tables import addresses

        if errors not in ("raise", "report"):
            raise InvalidRequest(f"errors is 'raise' or 'report', not {errors!r}")
        asked = addresses(what)
        chosen: dict[int, None] = {}
        missing: list[str] = []
        for address in asked:
            rows = self._of(address)
            chosen |= dict.fromkeys(rows)
            if not rows:
                missing.append(_lowest(address))
        order = sorted(chosen)
        paths, records = self._found.paths, self._found.records
        frame = instances([paths[row] for row in order], [records[row] for row in order])
        frame.attrs["missing"] = missing
        if missing and errors == "raise":
            error = IncompleteRetrieve(
                f"{len(missing)} of {len(asked)} things asked for are not here, the first is {missing[0]!r}",
                advice="Scan the place again, or ask the archive for them.",
            )
            error.instances, error.missing = frame, missing
            error.failed = pd.DataFrame({"SOPInstanceUID": [], "why": []}, dtype="string")
            raise error
        return frame

    def _need(self, keys: dict[str, Any]) -> None:
        """Read the headers again where a key asks for an attribute that was not kept."""
        tags = {key_of(name).path[0][0] for name in keys} - self._read
        if not tags:
            return
        from ..datasets.part10 import parse_file

        read = self._read | tags
        for path, record in zip(self._found.paths, self._found.records, strict=True):
            _, elements = parse_file(path, wanted=frozenset(tags))
            record.raw |= elements.raw
        self._read = read
        self._views = None

    def _of(self, address: Address) -> list[int]:
        """Positions of the instances of an address; with a study there, PatientID is not needed."""
        words = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        given = {word: getattr(address, word) for word in words if getattr(address, word)}
        given = given or {"PatientID": address.PatientID}
        return [
            row
            for row, record in enumerate(self._found.records)
            if all(record.text(word) == value for word, value in given.items())
        ]

    def _groups(self, level: QueryLevel) -> list[list[Elements]]:
        """The instances of each thing at a level, with what can be counted as attributes."""
        if self._views is None:
            self._views = list(_counted(self._found.records))
        groups: dict[tuple[str, ...], list[Elements]] = {}
        for number, view in enumerate(self._views):
            groups.setdefault(_identity(view, level, number), []).append(view)
        return list(groups.values())


def _identity(record: Elements, level: QueryLevel, number: int = 0) -> tuple[str, ...]:
    if level is QueryLevel.PATIENT:
        return record.text("PatientID"), record.text("IssuerOfPatientID")
    if level is QueryLevel.STUDY:
        return (record.text("StudyInstanceUID"),)
    if level is QueryLevel.SERIES:
        return record.text("StudyInstanceUID"), record.text("SeriesInstanceUID")
    return (record.text("SOPInstanceUID") or str(number),)


def _counted(records: Sequence[Elements]) -> Iterator[Elements]:
    """The records with the attributes that an archive computes (PS3.4 C.3.4)."""
    patient, study, series = (
        [_identity(record, level) for record in records]
        for level in (QueryLevel.PATIENT, QueryLevel.STUDY, QueryLevel.SERIES)
    )
    uids = [record.text("SOPInstanceUID") or str(number) for number, record in enumerate(records)]
    counts: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
        "NumberOfPatientRelatedStudies": (patient, study),
        "NumberOfPatientRelatedSeries": (patient, series),
        "NumberOfPatientRelatedInstances": (patient, uids),
        "NumberOfStudyRelatedSeries": (study, series),
        "NumberOfStudyRelatedInstances": (study, uids),
        "NumberOfSeriesRelatedInstances": (series, uids),
        "ModalitiesInStudy": (study, [record.text("Modality") for record in records]),
        "SOPClassesInStudy": (study, [record.text("SOPClassUID") for record in records]),
    }
    sets: dict[str, dict[Any, dict[Any, None]]] = {}
    for keyword, (groups, values) in counts.items():
        members = sets[keyword] = {}
        for group, value in zip(groups, values, strict=True):
            members.setdefault(group, {})[value] = None
    for number, record in enumerate(records):
        view = Elements(dict(record.raw), record.implicit, record.end, None, record.fallback_charset)
        for keyword, (groups, _) in counts.items():
            found = sets[keyword][groups[number]]
            if keyword.startswith("Number"):
                view.raw[tag_of(keyword)] = ("IS", str(len(found)).encode())
            else:
                text = "\\".join(sorted(filter(None, found)))
                view.raw[tag_of(keyword)] = ("CS" if keyword == "ModalitiesInStudy" else "UI", text.encode())
        view.raw[tag_of("AvailableTransferSyntaxUID")] = record.raw.get(0x00020010, ("UI", b""))
        view.raw[tag_of("InstanceAvailability")] = ("CS", b"ONLINE")
        yield view


def _columns(level: QueryLevel, keys: dict[str, Any]) -> list[str]:
    """The columns that a query of a peer gives: of this level and those above, unique keys first."""
    model = PATIENT_ROOT if level is QueryLevel.PATIENT else STUDY_ROOT
    return columns_of(split_keys(level, keys, model).items())


def _lowest(address: Address) -> str:
    for word in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"):
        if value := getattr(address, word):
            return str(value)
    return ""
