"""A request for media as a user holds it: its steps, and what has become of it (PS3.4 annex S)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from ... import phi
from ...amounts import are, counted
from ...datasets.elements import tag_of
from ...errors import DicomlabError, Interrupted, InvalidRequest, MediaFailed, StatusError, UnknownName
from ...markup import Html
from ...markup import rows as html_rows
from ...remarks import remark
from ...status import Category, Status
from ..association.association import Association, associate
from ..association.deadline import Cancelled, Deadline
from ..association.normalized import Normalized, proposed
from .mediarequest import ASKED, DONE, FAILURE, INFO, MEDIA, MediaRequest, MediaRequests, answered, how_many, how_soon

if TYPE_CHECKING:
    import pandas as pd

    from ..peer import Peer

INITIATE, CANCEL = 1, 2  # Action Type ID
FIRST, LONGEST = 0.2, 10.0  # seconds between two N-GETs: the first pause, doubled each time up to the longest
NO_SUCH_INSTANCE = 0x0112
#: What to do about an N-ACTION that was not taken, by its status; None: nobody knows whether it was.
_AFTER = {
    None: ".poll() says whether it was taken.",
    0xA510: ".poll() says how far it has come.",
    0xC201: ".poll() says what came of it.",
    0xC202: ".wait() says what comes of it.",
    0xC203: ".wait() says what comes of it.",
    NO_SUCH_INSTANCE: " is not known there any more: ask for media anew.",
}


class MediaCreation:
    """A request for media at a peer; made by `Peer.create_media`, and found again by `Peer.media`.

    What is known of it is on disk: it can be asked for or cancelled in another session too.

    Attributes
    ----------
    request : MediaRequest
        What was asked for, and what was answered last.
    attributes : pydicom.dataset.Dataset or None
        The last N-GET's Attribute List as it came.
    """

    def __init__(self, peer: Peer, request: MediaRequest, known: MediaRequests, timeout: float | None = None) -> None:
        self.request = request
        self.attributes: Dataset | None = None
        self._peer, self._known, self._timeout = peer, known, timeout

    attributes: Dataset | None

    @property
    def uid(self) -> str:
        """SOP Instance UID of the request."""
        return self.request.uid

    @property
    def status(self) -> str:
        """Execution Status: "IDLE", "PENDING", "CREATING", "DONE" or "FAILURE"; "CANCELLED"; "" where it is not known.

        Whether media were made is said here and nowhere else (R10.3).
        """
        return "CANCELLED" if self.request.step == "cancelled" else self.request.status

    @property
    def info(self) -> str:
        """Execution Status Info, such as "NORMAL" or "OUT_OF_SUPPLIES"; "" where it is not known."""
        return self.request.info

    @property
    def pieces(self) -> int | None:
        """Pieces of media that were made, all copies; None where the peer does not say."""
        return self.request.pieces

    @property
    def file_sets(self) -> list[tuple[str, str]]:
        """File-set ID and UID of each piece."""
        return [(phi.named("StorageMediaFileSetID", one), uid) for one, uid in self.request.file_sets]

    @property
    def failures(self) -> pd.DataFrame:
        """The instances that are not on the media: SOPInstanceUID, SOPClassUID, failure_reason and its meaning."""
        import pandas as pd

        failed = self.request.failed
        columns: dict[str, tuple[str, list[Any]]] = {
            "SOPInstanceUID": ("string", list(failed)),
            "SOPClassUID": ("string", [self.request.asked.get(uid) for uid in failed]),
            "failure_reason": ("Int64", list(failed.values())),
            "meaning": ("string", [Status(code, service="MEDIA").meaning for code in failed.values()]),
        }
        return pd.DataFrame({name: pd.Series(values, dtype=kind) for name, (kind, values) in columns.items()})  # type: ignore[call-overload]

    @property
    def final(self) -> bool:
        """Whether nothing more will happen: it is done, has failed or is cancelled."""
        return self.request.final

    def __repr__(self) -> str:
        return f"MediaCreation {self.uid} at {self.request.node}: {self.said}"

    def _repr_html_(self) -> Html:
        request = self.request
        facts = [
            ("peer", request.node),
            ("asked", time.strftime("%Y-%m-%d %H:%M", time.localtime(request.at))),
            ("instances", f"{len(request.asked):,}, {counted(request.copies, 'copy', 'copies')}"),
            ("now", self.said),
        ]
        return html_rows(facts, f"MediaCreation {self.uid}")

    @property
    def said(self) -> str:
        """How far it has come, in words."""
        request = self.request
        if self.status in ("", "IDLE"):
            return {
                "requested": "whether it was taken is not known, poll() asks",
                "created": "created, and not initiated",
            }.get(request.step, "initiated, poll() says how far it has come")
        words = INFO.get(self.info, "")
        text = self.status + (f", {self.info}" if self.info else "") + (f" ({words})" if words else "")
        if self.pieces is not None and self.status == DONE:
            text += f", {self.pieces} piece{'s' * (self.pieces != 1)}"
        sets = list(dict.fromkeys(one for one, _ in self.file_sets if one))
        if sets:
            text += f", file set {', '.join(sets)}"
        if request.failed:
            text += f", {len(request.failed):,} of {len(request.asked):,} instances failed"
        return text

    # -- the steps -----------------------------------------------------------------------------------------------

    def initiate(self, *, copies: int | None = None, priority: str | None = None) -> MediaCreation:
        """Have the device begin: N-ACTION 1. That it takes the request only means that it is scheduled.

        Raises
        ------
        StatusError
            0xA510 where it was initiated before; the request stays what it is.
        """
        self._open()
        request = replace(
            self.request,
            copies=self.request.copies if copies is None else how_many(copies),
            priority=self.request.priority if priority is None else how_soon(priority),
        )
        said = Dataset()
        said.NumberOfCopies, said.RequestPriority = request.copies, request.priority
        self._act(INITIATE, said)
        self.keep(replace(request, step="initiated", status=""))
        return self

    def poll(self) -> MediaCreation:
        """Ask how far it has come: N-GET.

        Raises
        ------
        StatusError
            0x0112 where the device knows it no more.
        """
        with self._peer._call(self._timeout) as call:
            self._poll(call.clock)
        return self

    def wait(self, seconds: float = 300.0) -> MediaCreation:
        """Ask again and again until it is final, so many seconds at most; it goes on at the peer if it is not.

        Raises
        ------
        MediaFailed
            The device says FAILURE.
        Interrupted
            Ctrl-C; the request goes on at the peer.
        """
        with self._peer._call(self._timeout) as call:
            self._await(call.clock, seconds)
        return self

    def cancel(self) -> MediaCreation:
        """Cancel it: N-ACTION 2. The request exists at the peer no more afterwards.

        Raises
        ------
        StatusError
            0xC201 it is done or has failed, 0xC202 it is being made, 0xC203 the device will not.
        """
        self._open()
        self._act(CANCEL)
        self.keep(replace(self.request, step="cancelled"))
        return self

    # -- what they share -----------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        return f'peer.media["{self.uid}"]'

    def _open(self) -> None:
        self._peer.node.require("create_media")
        if self.request.step == "cancelled":
            raise InvalidRequest(
                "this request for media was cancelled", peer=self.request.node, advice="Ask for media anew."
            )

    def keep(self, request: MediaRequest) -> None:
        self._known.keep(request)
        self.request = request

    def _act(self, action: int, said: Dataset | None = None) -> None:
        sent = False
        with self._peer._call(self._timeout) as call:
            try:
                with associated(self._peer, call.clock, "N-ACTION") as association:
                    request = Normalized(association, "MEDIA")
                    sent = True  # it may have been taken
                    reply = request.action(MEDIA, self.uid, action, said)
            except DicomlabError as error:
                code = error.status.code if error.status is not None else None
                if sent:
                    error.advice = f"{self.place}{_AFTER.get(code, '.initiate() tries again, .cancel() ends it.')}"
                raise
        say(self._peer, reply.status)

    def _poll(self, clock: Deadline) -> None:
        with associated(self._peer, clock, "N-GET") as association:
            try:
                reply = Normalized(association, "MEDIA").get(MEDIA, self.uid, [tag_of(name) for name in ASKED])
            except StatusError as error:
                if self.final and error.status is not None and error.status.code == NO_SUCH_INSTANCE:
                    return  # R10.2: it is over there, and that is right
                error.advice = "It is still remembered here; its device may have forgotten it."
                raise
            if reply.data is None or not reply.data.text("ExecutionStatus").strip():
                raise association.broken("the answer to an N-GET names no Execution Status (2100,0020)")
        self.attributes = phi.dataset(reply.data.dataset())
        self.keep(answered(self.request, reply.data))

    def _await(self, clock: Deadline, seconds: float) -> None:
        until, pause = time.monotonic() + seconds, FIRST
        try:
            while True:
                self._poll(clock)
                left = until - time.monotonic()
                if self.final or left <= 0:
                    break
                if clock.wait(min(pause, left)):
                    raise Cancelled
                clock.progressed()  # to wait is no silence of the peer's
                pause = min(2 * pause, LONGEST)
        except Cancelled:
            remark(f"{self.request.node}: stopped; {self._goes_on()}", stacklevel=3)
            return
        except KeyboardInterrupt:
            raise Interrupted(f"{self.request.node}: stopped; {self._goes_on()}") from None
        except DicomlabError as error:
            error.advice = f"Nothing is lost: {self.place}.wait() asks again."
            raise
        self._check(seconds, clock)

    def _goes_on(self) -> str:
        return f"the request goes on there, and {self.place} polls or cancels it"

    def _check(self, seconds: float, clock: Deadline) -> None:
        request = self.request
        if not request.final:
            remark(f"{request.node}: {self.status} after {seconds:g} s; {self._goes_on()}", stacklevel=4)
        elif request.status == FAILURE:
            words = INFO.get(self.info, "")
            said = ": ".join(filter(None, (self.info or "no reason given", words)))
            failed = self.failures
            if len(failed):
                first = failed.iloc[0]
                said += f"; {len(failed):,} of {len(request.asked):,} instances failed, the first "
                said += f"{first.SOPInstanceUID}: {first.meaning}"
            raise MediaFailed(
                f"no media were made, {said}",
                uid=self.uid,
                rows=failed,
                peer=request.node,
                phase="N-GET",
                elapsed=clock.elapsed,
                advice=f"{self.place} has the whole answer; when its reason is gone, ask for media anew.",
            )
        elif request.failed:
            remark(
                f"{request.node}: {len(request.failed):,} of {len(request.asked):,} instances "
                f"{are(len(request.failed))} not on the media, see .failures",
                stacklevel=4,
            )


class MediaCreations(Mapping[str, MediaCreation]):
    """The requests for media that this user has made at a peer, oldest first, by UID."""

    def __init__(self, peer: Peer, known: MediaRequests | None = None) -> None:
        self._peer, self._known = peer, known or MediaRequests()

    def __getitem__(self, uid: str) -> MediaCreation:
        found = self._known.get(uid) if isinstance(uid, str) else None
        if found is None or found.node != self._peer.node.identity:
            raise UnknownName(uid, list(self), f"request for media at {self._peer.node.identity}")
        return MediaCreation(self._peer, found, self._known)

    def __iter__(self) -> Iterator[str]:
        return iter([one.uid for one in self._known.of(self._peer.node.identity)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values())) or f"no requests for media at {self._peer.node.identity}"

    def _repr_html_(self) -> Html:
        pairs = [(uid, one.said) for uid, one in self.items()]
        return html_rows(pairs or [("", "none yet")], f"requests for media at {self._peer.node.identity}")


@contextlib.contextmanager
def associated(peer: Peer, clock: Deadline, phase: str) -> Iterator[Association]:
    with associate(peer.node, proposed(MEDIA), clock, phase=phase) as association:
        association.context(MEDIA)  # refused: said before anything is sent
        yield association


def say(peer: Peer, status: Status) -> None:
    if status.category is Category.WARNING:
        remark(f"{peer.node.identity}: {status}", stacklevel=4)
