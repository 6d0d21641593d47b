"""Media creation (PS3.4 annex S): a device is asked to write instances on CDs, DVDs or the like."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydicom.uid import generate_uid

from ...amounts import are
from ...errors import DicomlabError, InvalidRequest, StatusError
from ...tables.tables import IDENTIFYING, addresses
from ..association.deadline import Cancelled, Deadline
from ..association.normalized import Normalized
from ..retrieve.inquiry import ask
from ..store.delivery import store
from ..store.referenced import referenced
from ..store.storage import Manner
from .mediacreation import MediaCreation, associated, say
from .mediarequest import (
    MEDIA,
    PROFILE,
    MediaRequest,
    MediaRequests,
    checked_profile,
    described,
    how_many,
    how_soon,
    reference,
)

if TYPE_CHECKING:
    from ..peer import Peer

_UID = re.compile(r"[0-9]+(\.[0-9]+){2,}")


def create(
    peer: Peer,
    what: Any,
    clock: Deadline,
    *,
    copies: int,
    priority: str,
    profile: str,
    send: bool,
    timeout: float | None,
    attributes: Mapping[str, Any],
) -> MediaCreation:
    """Ask for media, without having them made yet; see `Peer.create_media`."""

    known = MediaRequests()
    copies, soon, data = how_many(copies), how_soon(priority), described(attributes)
    names, profiles = _named(peer, what, clock, checked_profile(profile), send)
    data.ReferencedSOPSequence = [reference(uid, sop_class, profiles[uid]) for uid, sop_class in names.items()]
    uid = str(generate_uid(prefix=None))
    request = MediaRequest(uid, peer.node.identity, time.time(), names, copies, soon)
    made = MediaCreation(peer, request, known, timeout)
    if send and not _of_archive(what):  # else it is there
        _send(peer, what, clock)
    made.keep(made.request)  # from here on it is remembered
    sent = False
    try:
        with associated(peer, clock, "N-CREATE") as association:
            normalized = Normalized(association, "MEDIA")
            sent = True  # it may have been taken
            reply = normalized.create(MEDIA, data, sop_instance=uid)
    except (DicomlabError, Cancelled, KeyboardInterrupt) as error:
        if not sent or isinstance(error, StatusError | InvalidRequest):
            known.forget(uid)
        elif isinstance(error, DicomlabError):
            error.advice = f"Whether it was taken is not known: {made.place}.poll() asks."
        raise
    say(peer, reply.status)
    made.keep(replace(made.request, step="created", status="IDLE"))
    return made


def _named(peer: Peer, what: Any, clock: Deadline, profile: str, send: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Class and application profile of each instance, by its UID."""
    if _of_archive(what):
        held = ask(peer.node, addresses(what), clock)  # what is in these patients, studies or series?
        if not held.instances:
            raise InvalidRequest(
                f"the archive names no instances of these rows{f' ({held.why})' if held.why else ''}",
                peer=peer.node.identity,
                advice="Give rows of instances, as store, scan and retrieve make them.",
            )
        found = {uid: one.SOPClassUID for uid, one in held.instances.items()}
        return found, dict.fromkeys(found, profile)
    unsent = what.drop(columns="stored") if send and "stored" in getattr(what, "columns", ()) else what
    table, pairs = referenced(unsent)
    lost = sum(not uid for uid, _ in pairs)
    if lost:
        raise InvalidRequest(
            f"{lost:,} of {len(pairs):,} instances {are(lost)} not stored, or have no SOP Instance UID",
            advice="Store them first, or say store=True; or leave them out.",
        )
    each = table[PROFILE].tolist() if table is not None and PROFILE in table else [profile] * len(pairs)
    return dict(pairs), {uid: one for (uid, _), one in zip(pairs, each, strict=True)}


def _of_archive(what: Any) -> bool:
    """Whether it names patients, studies or series of the archive, or UIDs of studies, as `retrieve` takes them."""
    import pandas as pd

    if isinstance(what, pd.DataFrame):
        return bool(len(what)) and not {"path", "SOPInstanceUID"} & set(what.columns)
    if isinstance(what, pd.Series) and set(what.index) & set(IDENTIFYING):
        return "path" not in what.index
    several = [what] if isinstance(what, str) else list(what) if isinstance(what, pd.Series | list | tuple) else []
    return bool(several) and all(isinstance(one, str) and _UID.fullmatch(one) for one in several)


def _send(peer: Peer, what: Any, clock: Deadline) -> None:
    """Store what the peer does not have (R10.1)."""
    import pandas as pd

    above = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
    if isinstance(what, pd.DataFrame) and above <= set(what.columns):
        held = ask(peer.node, addresses(what), clock)
        if held.known:
            what = what[~what["SOPInstanceUID"].isin(list(held.instances))]
    if len(what) if isinstance(what, pd.DataFrame) else True:
        store(peer.node, what, clock, how=Manner(), errors="raise")
