"""The levels of the Query/Retrieve information models and the unique key of each (PS3.4 C.6)."""

from __future__ import annotations

from enum import StrEnum

from .errors import InvalidRequest, did_you_mean


class QueryLevel(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"

    @property
    def unique_key(self) -> str:
        """Keyword of the attribute that names one thing at this level.

        Examples
        --------
        >>> QueryLevel.SERIES.unique_key
        'SeriesInstanceUID'
        """
        return UNIQUE_KEYS[self]

    @property
    def above(self) -> tuple[QueryLevel, ...]:
        """The levels above this one, highest first.

        Examples
        --------
        >>> [level.value for level in QueryLevel.SERIES.above]
        ['PATIENT', 'STUDY']
        """
        order = list(QueryLevel)
        return tuple(order[: order.index(self)])

    @classmethod
    def of(cls, level: str) -> QueryLevel:
        """The level of that name, in any case; "INSTANCE" is taken as IMAGE.

        Raises
        ------
        InvalidRequest
            There is no such level.
        """
        name = str(level).strip().upper()
        if name == "INSTANCE":
            return cls.IMAGE
        try:
            return cls(name)
        except ValueError:
            known = [member.value for member in cls]
            raise InvalidRequest(
                f"{level!r} is no query level{did_you_mean(name, known)}",
                advice=f"Use one of {', '.join(known)}.",
            ) from None


UNIQUE_KEYS = {
    QueryLevel.PATIENT: "PatientID",
    QueryLevel.STUDY: "StudyInstanceUID",
    QueryLevel.SERIES: "SeriesInstanceUID",
    QueryLevel.IMAGE: "SOPInstanceUID",
}
