"""What a user may set for the whole session."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from . import phi
from .errors import InvalidRequest, ResultWarning, did_you_mean


@dataclass
class Options:
    """Settings of this session; each can be assigned, or set for a while with ``options.set(...)``.

    **phi**: True shows names as they are. While it is False, what is made holds pseudonyms instead of

    - person names, dates, and free text: every attribute of VR PN, DA, DT, LO, SH, LT, ST, UT, UC and UR, also inside
      sequences and private ones, but for a short list of device settings and codes (`dicomlab.phi.TECHNICAL`);
    - paths of files, except below dicomlab's cache, whose names hold nothing of a patient;
    - what a peer says in words, such as an Error Comment.

    It holds for tables and their ``attrs``, volumes, reports and other objects, what prints them or writes them
    (``to_netcdf``), titles of figures, errors, warnings and logs. Text becomes ``hidden-1a2b3c4d``, the same for the
    same text in this session; dates move by a secret number of weeks to before 1890. A pseudonym or moved date that is
    given back, as a key, in rows to retrieve or as a path to load, is translated first. What was made before the switch
    stays as it is, and a warning says how many tables and volumes that are.

    **It is no de-identification.** It keeps a saved notebook from holding names by accident. It does not touch files,
    nor the pixels (names burned in, faces), the bytes of a document, UIDs, times of day, ages, weights, sex, numbers,
    codes and device names; not what you type or print yourself, what you read with other libraries
    (``pydicom.dcmread``), what a hook is given (the messages as they are), nor the variables that ``%xmode Verbose`` or
    a debugger shows. Dates of one session all move alike. An output that is in the notebook already stays there until
    its cell is run again.

    **remember**: True keeps what `scan` and `open_folder` read of a folder in this user's cache folder, so that the
    next scan of it opens only what changed. It holds the names that the files hold, for 90 days after it was used last.
    While it is False none is made or used, and that of a folder that is scanned is deleted.

    Examples
    --------
    >>> with options.set(find_limit=50):
    ...     options.find_limit
    50
    >>> from pydicom.data import get_testdata_file
    >>> from dicomlab.scanning.scanning import scan
    >>> with options.set(phi=False):
    ...     scan(get_testdata_file("CT_small.dcm")).PatientName[0].startswith("hidden-")
    True
    """

    phi: bool = True  # show names, identifiers, dates and free text; False: pseudonyms in what is made
    find_limit: int = 10_000  # rows after which a query is cut and cancelled
    retrieve_limit: int = 20_000  # instances above which retrieve wants limit=
    ihe_keys: bool = True  # ask at IMAGE level for what IHE wants of PR, SR and KO too
    remember: bool = True  # keep what a scan read of a folder, for the next scan of it
    progress: bool = True  # show a bar for calls that take longer than half a second

    def __setattr__(self, name: str, value: Any) -> None:
        known = {field.name: field.type for field in fields(self)}
        if name not in known:
            raise InvalidRequest(
                f"there is no option {name!r}{did_you_mean(name, list(known))}",
                advice=f"Options are {', '.join(known)}.",
            )
        kind = bool if known[name] == "bool" else int
        if type(value) is not kind or (kind is int and value < 1):
            wanted = "True or False" if kind is bool else "a whole number of 1 or more"
            raise InvalidRequest(f"option {name} takes {wanted}, not {value!r}")
        if name == "phi" and value is phi.masking():
            before = phi.switch(value)
            if before and not value:
                one = before == 1
                things = "1 table or volume was" if one else f"{before} tables and volumes were"
                warnings.warn(
                    f"{things} made before phi was switched off, and still {'holds' if one else 'hold'} names. "
                    f"Make {'it' if one else 'them'} again.",
                    ResultWarning,
                    stacklevel=2,
                )
        object.__setattr__(self, name, value)

    @contextmanager
    def set(self, **values: Any) -> Iterator[Options]:
        """Set options inside a ``with`` block."""
        before = replace(self)
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield self
        finally:
            phi.switch(before.phi)  # no warning: what was made inside was meant to be
            for field in fields(self):
                object.__setattr__(self, field.name, getattr(before, field.name))


options = Options()
