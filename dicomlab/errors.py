"""Every error of the package, one tree.

::

    DicomlabError
    ├── InvalidRequest (ValueError)      refused by us before anything is sent or read
    │   └── UnknownName (KeyError)       there is nothing of that name; says what there is
    ├── ConnectError                     TCP level, or the association was cut
    │   ├── ConnectionLost               closed or reset by the peer in the middle of something
    │   ├── AssociationTimeout           no answer to the connection, or to A-ASSOCIATE-RQ
    │   ├── AssociationAborted           A-ABORT, with source and reason
    │   └── TLSVerificationError         handshake or certificate
    ├── AssociationRejected              A-ASSOCIATE-RJ, with result, source and reason
    ├── NoAcceptedContext                the peer does not offer this service or syntax
    ├── DimseTimeout                     no progress in time
    ├── ProtocolError                    malformed or unexpected PDU or message
    ├── StatusError                      the final status of an operation is a failure
    ├── IncompleteRetrieve               some instances did not arrive
    ├── IncompleteStore                  some instances were not stored; its rows say how each went
    ├── MediaFailed                      a device took a request for media and did not make them
    ├── BadData                          bytes that do not follow the encoding
    │   └── BadFile                      ... in a file: path, tag and why
    ├── GeometryError                    the instances are not one volume; says what they are
    ├── MissingCodec (ImportError)       a transfer syntax or extra needs a package that is absent
    ├── CacheError                       the local store of received instances
    └── LogError                         a log that must be written cannot be

Beside it stand ``ResultWarning`` and ``Interrupted`` (KeyboardInterrupt): Ctrl-C, with what came before it.

Each error says who (``peer``), when (``phase``, ``elapsed`` seconds), what the peer said (``status``) and one
thing to do (``advice``); what had arrived before it is in ``rows`` or ``instances``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from . import phi
from .markup import seen

if TYPE_CHECKING:
    import pandas as pd

    from .status import Status


def _said(text: str) -> str:
    """What may stand in a message: characters that are not seen are made so, and names are hidden if they are to be."""
    return seen(phi.said(text))


class ResultWarning(UserWarning):
    """Something about a result that its reader must not miss: it was cut, cancelled, or a key was ignored."""

    def __init__(self, message: str) -> None:
        super().__init__(_said(message))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or the interrupt button of a notebook, ended the call; what came before is in ``rows``.

    It is no DicomlabError but a KeyboardInterrupt, so that Run All stops here and no ``except Exception`` hides it.
    """

    def __init__(self, message: str, rows: pd.DataFrame | None = None) -> None:
        super().__init__(_said(message))
        self.rows = rows


class DicomlabError(Exception):
    """Base of every error of dicomlab.

    Parameters
    ----------
    message
        What happened, in words.
    peer
        Name of the peer, as ``"AET@host:port"`` or its name in nodes.toml; "" where no peer took part.
    phase
        What was going on: "connection", "association", "C-FIND", "release", ...
    elapsed
        Seconds since the operation began, or None.
    status
        What the peer answered, or None.
    advice
        One thing to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        peer: str = "",
        phase: str = "",
        elapsed: float | None = None,
        status: Status | None = None,
        advice: str = "",
    ) -> None:
        message = _said(message)
        super().__init__(message)
        self.message = message
        self.peer = peer
        self.phase = phase
        self.elapsed = elapsed
        self.status = status
        self.advice = seen(phi.said(advice, dates=False))  # what it gives as an example is no patient's
        #: Table of the matches that came before the error; None where the operation gives no rows.
        self.rows: pd.DataFrame | None = None

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.peer, self.phase) if part)
        text = f"{where}: {self.message}" if where else self.message
        if self.elapsed is not None:
            text += f" (after {self.elapsed:.1f} s)"
        if not self.advice:
            return text
        return f"{text} {self.advice}" if text[-1:] in "?.!" else f"{text}. {self.advice}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(kind: type[DicomlabError], args: tuple[Any, ...], state: dict[str, Any]) -> DicomlabError:
    """Unpickle an error whose constructor takes more than a message."""
    error = kind.__new__(kind)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class InvalidRequest(DicomlabError, ValueError):
    """Refused before anything was sent or read; the message says what to write instead."""


class UnknownName(InvalidRequest, KeyError):
    """A mapping has nothing of that name; also a KeyError, so that ``in`` and ``get`` work as for any mapping."""

    def __init__(self, name: object, known: Iterable[str], what: str = "thing") -> None:
        names = list(known)
        near = did_you_mean(name, names) if isinstance(name, str) else ""
        some = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
        advice = f"There are {some}." if len(names) > 1 else f"There is {some or 'none at all'}."
        super().__init__(f"there is no {what} named {name!r}{near}", advice=advice)


class ConnectError(DicomlabError):
    """The peer could not be reached, or the association was cut."""


class ConnectionLost(ConnectError):
    """The peer closed or reset the connection in the middle of something."""


class AssociationTimeout(ConnectError):
    """Nobody answered the connection or the A-ASSOCIATE-RQ in time."""


class AssociationAborted(ConnectError):
    """The peer sent A-ABORT (PS3.8 9.3.8)."""

    def __init__(self, message: str, *, source: int = 0, reason: int = 0, **context: Any) -> None:
        super().__init__(message, **context)
        self.source, self.reason = source, reason


class TLSVerificationError(ConnectError):
    """TLS failed: a certificate, a version, or a side that speaks none; the message holds the TLS library's reason."""


class AssociationRejected(DicomlabError):
    """The peer sent A-ASSOCIATE-RJ (PS3.8 9.3.4).

    ``result`` is 1 (permanent) or 2 (transient), ``source`` 1 to 3, ``diagnostic`` the reason code.
    """

    def __init__(self, message: str, *, result: int = 0, source: int = 0, diagnostic: int = 0, **context: Any) -> None:
        super().__init__(message, **context)
        self.result, self.source, self.diagnostic = result, source, diagnostic


class NoAcceptedContext(DicomlabError):
    """The association stands, but the presentation context that is needed was refused.

    ``abstract_syntax`` is the UID asked for; ``result`` the answer of PS3.8 9.3.3.2: 1 user rejection,
    2 no reason, 3 abstract syntax not supported, 4 transfer syntaxes not supported; None where the whole
    association was refused for it.
    """

    def __init__(self, message: str, *, abstract_syntax: str = "", result: int | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.abstract_syntax, self.result = abstract_syntax, result


class DimseTimeout(DicomlabError):
    """Nothing moved for longer than the no-progress deadline, or the total deadline passed."""


class ProtocolError(DicomlabError):
    """The peer sent a PDU or message that breaks PS3.7 or PS3.8."""


class StatusError(DicomlabError):
    """The peer ended the operation with a failure; see ``status``."""


class IncompleteRetrieve(DicomlabError):
    """Some instances did not arrive.

    Attributes
    ----------
    instances
        Table of the instances that are here, whole, as ``retrieve`` would have returned it.
    missing
        SOP Instance UIDs that were expected and are not here.
    failed
        Table of what came and was not kept, one row each: SOPInstanceUID, why.
    """

    instances: pd.DataFrame
    missing: list[str]
    failed: pd.DataFrame


class IncompleteStore(DicomlabError):
    """Some instances were not stored; ``rows`` is the table that ``store`` would have returned, one row each."""

    def __init__(self, message: str, *, rows: pd.DataFrame | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.rows = rows


class MediaFailed(DicomlabError):
    """A device took a request for media and made none; ``uid`` is the request's, ``rows`` the instances that failed."""

    def __init__(self, message: str, *, uid: str = "", rows: pd.DataFrame | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.uid, self.rows = uid, rows


class BadData(DicomlabError):
    """Bytes that do not follow PS3.5, with ``tag`` (8 hex digits or ""), ``offset`` in bytes and ``why``."""

    def __init__(self, why: str, *, tag: str = "", offset: int | None = None, **context: Any) -> None:
        super().__init__(f"{why}{_place(tag, offset)}", **context)
        self.why, self.tag, self.offset = why, tag, offset

    @property
    def said(self) -> str:
        """What is wrong and where, without the name of a file."""
        return f"{self.why}{_place(self.tag, self.offset)}"


def _place(tag: str, offset: int | None) -> str:
    """Where in a data set, as a person would say it: the attribute by its keyword, and the byte."""
    from pydicom.datadict import keyword_for_tag

    places = []
    if tag:
        keyword = keyword_for_tag(int(tag, 16))
        places.append(f"{keyword} ({tag[:4]},{tag[4:]})" if keyword else f"({tag[:4]},{tag[4:]})")
    if offset is not None:
        places.append(f"at byte {offset:,}")
    return f", in {' '.join(places)}" if tag else "".join(f", {place}" for place in places)


class BadFile(BadData):
    """A file that cannot be used, with ``path``, ``tag`` and ``why``; ``others`` are found bad in the same step."""

    def __init__(self, path: Any, why: str, *, tag: str = "", offset: int | None = None, **context: Any) -> None:
        super().__init__(why, tag=tag, offset=offset, **context)
        self.path: str = phi.path(str(path))  # an error is printed, logged and pickled with all that it holds
        self.others: list[BadFile] = []
        self.args = (_said(f"{self.path}: {self.message}"),)
        self.message = self.args[0]


class GeometryError(DicomlabError):
    """The instances do not make one volume.

    ``stacks`` is a table of the stacks that were found, one row each, or None.
    """

    def __init__(self, message: str, *, stacks: pd.DataFrame | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.stacks = stacks


class MissingCodec(DicomlabError, ImportError):
    """A package that decodes this, or does this, is not installed; the message holds the pip line."""


class CacheError(DicomlabError):
    """The folder of received instances cannot be read or written."""


class LogError(DicomlabError):
    """A log cannot be written, and was to stop the work then."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """ " did you mean 'X'?" for the nearest of `known`, or "".

    Examples
    --------
    >>> did_you_mean("PatientNmae", ["PatientName", "PatientID"])
    ", did you mean 'PatientName'?"
    >>> did_you_mean("SeriesDesc", ["SeriesDate", "SeriesDescription"])  # begun, and not ended
    ", did you mean 'SeriesDescription'?"
    """
    from difflib import get_close_matches

    lower = {name.lower(): name for name in known}
    begun = [name for name in lower if len(word) > 4 and name.startswith(word.lower())]
    near = [min(begun, key=len)] if begun else get_close_matches(word.lower(), list(lower), n=1, cutoff=0.7)
    return f", did you mean {lower[near[0]]!r}?" if near else ""
