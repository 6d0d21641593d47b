"""The way back of a C-MOVE: a port of ours that is free, and an archive that knows it (R2.6)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

from ...cache.cache import Cache
from ...errors import DicomlabError, IncompleteRetrieve
from ...level import QueryLevel
from ...queries.models import STUDY_ROOT
from ...tables.tables import Address, addresses
from ..association.association import Association
from ..association.deadline import Cancelled, Deadline
from ..association.incoming import Message
from ..query.plan import Plan
from ..query.query import find
from ..retrieve.inquiry import ask
from ..retrieve.listener import Listener
from ..retrieve.retrieve import retrieve
from ..retrieve.transfer import GET, MOVE
from .checks import Checks


class Unopened:
    """The service of a listener that is bound, and not opened."""

    phase = "C-MOVE"
    classes: frozenset[str] = frozenset()
    sink = None

    def serve(self, association: Association, message: Message) -> int | None:
        return None


def way_back(checks: Checks, move: Any, reached: bool) -> None:
    """Whether our port is free, and with `move` whether an image that is asked for comes back by it."""
    node = checks.node
    get = checks.results.get(GET[STUDY_ROOT]) == 0
    if not node.listen:
        do = "Give connect(..., listen=port), and tell the administrator that port."
        if checks.results.get(MOVE[STUDY_ROOT]) == 0 and not get:
            checks.failed("our port", "none is set, and the archive retrieves by C-MOVE alone, which sends to one", do)
        else:
            checks.skipped("our port", "C-GET is offered and needs none" if get else "none is set", "" if get else do)
        checks.skipped("C-MOVE to us", "not tried, for no port is set")
        return
    try:
        listener = checks.within(
            checks.timeout, lambda deadline: Listener(node, Unopened(), deadline)
        )  # bound, and not opened
        listener.close()
    except (DicomlabError, Cancelled) as error:
        _port_failed(checks, error)
        return
    host, port = listener.address
    tls = "through TLS" if node.inbound_tls else "plain DICOM"
    checks.ok("our port", f"{host}:{port} is free for what C-MOVE sends to us ({tls})")
    known = f"AE title {node.move_ae} with the address {host} and the port {port}"
    if move is False or move is None:
        checks.skipped(
            "C-MOVE to us",
            f"not tried: it is not known whether the archive has {known}",
            "diagnose(move=True) has one image sent and throws it away"
            + ("; C-GET needs none of this." if get else "."),
        )
    elif not reached or checks.results.get(MOVE[STUDY_ROOT]) != 0:
        checks.skipped("C-MOVE to us", "not tried, for C-MOVE is not offered")
    else:
        _move(checks, move, known)


def _port_failed(checks: Checks, error: BaseException) -> None:
    if isinstance(error, DicomlabError):
        checks.failed("our port", error)
    else:
        checks.skipped("our port", "not tried: stopped")
    checks.skipped("C-MOVE to us", "not tried, for our port cannot be used")


def _move(checks: Checks, move: Any, known: str) -> None:
    """Have one image sent here, into a folder that goes away."""
    began = monotonic()
    try:
        image = checks.within(2 * checks.timeout, lambda deadline: _image(checks, move, deadline))
        if image is None:
            checks.skipped(
                "C-MOVE to us",
                "not tried, for no image was found to have sent",
                "Name one: diagnose(move=rows), with rows of a find.",
            )
            return
        with (
            tempfile.TemporaryDirectory(prefix="dicomlab-diagnosis-") as folder,
            Cache(Path(folder) / "cache", index=Path(folder) / "index.sqlite") as cache,
        ):
            checks.within(
                2 * checks.timeout,
                lambda deadline: retrieve(checks.node, cache, [image], deadline, method="move", progress=False),
            )
    except DicomlabError as error:
        more = ""
        if isinstance(error, IncompleteRetrieve) and error.instances is not None and not len(error.instances):
            more = "; a firewall may stand between, or the archive has another address or port for us"
        ask = f"Please enter {known} as a destination of C-MOVE, and let the archive connect to it."
        checks.failed("C-MOVE to us", error.message + more, error.advice, ask)
    else:
        checks.ok("C-MOVE to us", "an image was sent and has arrived here", seconds=monotonic() - began)


def _image(checks: Checks, move: Any, deadline: Deadline) -> Address | None:
    """One image of those rows, or any."""
    if move is True:
        any_study = Plan(STUDY_ROOT, QueryLevel.STUDY, {"StudyInstanceUID": None}, None)
        studies = find(checks.node, any_study, deadline, limit=1)  # the second match is answered by C-CANCEL
        if not len(studies):
            return None
        chosen = addresses(studies.head(1))[0]
    else:
        chosen = move[0]
    held = next(iter(ask(checks.node, [chosen], deadline).instances.values()), None)
    if held is None:
        return None
    return Address("", held.StudyInstanceUID, held.SeriesInstanceUID, held.SOPInstanceUID)
