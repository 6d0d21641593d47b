"""One association that stores: instance after instance, the next one read while the peer has not answered yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from pydicom.config import IGNORE
from pydicom.uid import UID

from ...datasets.uids import JPEG_2000_LOSSY
from ...errors import BadData, BadFile, DicomlabError, MissingCodec, NoAcceptedContext
from ...markup import printable
from ...outgoing.sendable import Lookout, Outgoing, Reader
from ...pixels.transcoding import LOSSLESS, LOSSY, read_file, transcode, with_loss
from ...progress import Progress
from ...status import Category, Status
from ..association.association import Association
from ..association.deadline import Cancelled
from ..association.dimse import CommandField
from ..association.pdu import ReleaseRequested

AHEAD = 16 << 20  # bytes of a file up to which it is read before the one before it is answered
_WORDS: dict[type[BaseException], str] = {ReleaseRequested: "the peer asked for release"}


@dataclass(slots=True)
class Sent:
    """How it went with one instance."""

    item: Outgoing
    syntax: str = ""  # that it was sent in
    context: int | None = None
    instance: str = ""  # SOP Instance UID that it was sent under, where that is not its own
    status: Status | None = None
    comment: str = ""  # of the peer, or why there is no status
    seconds: float | None = None
    tried: bool = False  # it is known what became of it, or nothing more can be done

    @property
    def stored(self) -> bool:
        """Whether the peer says that it has it: success, or a warning (R6.5)."""
        return self.status is not None and self.status.category in (Category.SUCCESS, Category.WARNING)


@dataclass(frozen=True)
class Manner:
    """How instances are to be sent."""

    originator: tuple[str, int] | None = None  # AE title and message id of the C-MOVE that this is part of
    priority: int = 0
    prefer: tuple[str, ...] = ()  # transfer syntaxes to change to before all others
    lossy: float | None = None  # how many to one images are compressed with loss; None: never (R6.4)

    def syntaxes(self, item: Outgoing) -> tuple[str, ...]:
        """Those that an instance may be sent in, the first preferred: its own, then what we can make of it (R6.3)."""
        first = self.prefer if self.lossy is None else (*self.prefer, JPEG_2000_LOSSY)
        return tuple(dict.fromkeys((*first, item.transfer_syntax, *LOSSLESS)))


class Sender:
    """Sends instances on one association.

    Parameters
    ----------
    lookout
        Of all instances of the call.
    refuse
        Told of what the peer takes in no syntax.
    """

    def __init__(
        self,
        association: Association,
        manner: Manner,
        lookout: Lookout,
        progress: Progress,
        refuse: Callable[[Sequence[Sent], NoAcceptedContext], None],
    ) -> None:
        self._association, self._deadline = association, association.deadline
        self._manner, self._lookout, self._progress, self._refuse = manner, lookout, progress, refuse
        self._chooser = Chooser(association, manner)
        self._reader, self._other = Reader(), Reader()  # what is being sent, and what is next
        self._next: Sent | None = None
        self._ready: memoryview | None = None  # the data set of `_next`, where it was read ahead

    def run(self, waiting: Iterator[Sent]) -> None:
        """Send all of these; what is wrong with an association is raised, what is wrong with an instance is not."""
        self._next = next(waiting, None)
        while (one := self._next) is not None:
            if self._deadline.stopped:
                raise Cancelled
            ready, self._ready, self._next = self._ready, None, None
            self._one(one, ready, waiting)
            if self._next is None:
                self._next = next(waiting, None)

    def _one(self, one: Sent, ready: memoryview | None, waiting: Iterator[Sent]) -> None:
        began = monotonic()
        try:
            data = self._data(one, ready)
        except (BadData, MissingCodec) as error:
            one.comment, one.tried = getattr(error, "said", error.message), True
            return
        except NoAcceptedContext as error:
            self._refuse([one], error)
            return
        finally:
            self._deadline.excuse(monotonic() - began)  # reading and changing it is no silence of the peer's
        size = len(data)
        began = monotonic()
        try:
            message_id = self._ask(one, data)
            self._read_ahead(waiting)
            one.status = self._answer(one, message_id)
        except BaseException as error:
            why = error.message if isinstance(error, DicomlabError) else _WORDS.get(type(error), "stopped")
            one.comment, one.tried = f"{why}; whether it was stored is not known", True
            raise
        finally:
            one.seconds = monotonic() - began
        one.comment, one.tried = "; ".join(filter(None, (one.status.comment, one.comment))), True
        one.item.seen = None
        self._deadline.progressed()  # of a small one that left in one call nothing else is seen
        self._progress.advance(1, size)

    # -- the bytes -------------------------------------------------------------------------------------------

    def _read_ahead(self, waiting: Iterator[Sent]) -> None:
        """Have the next instance ready, where that is a file of moderate size that goes as it is."""
        one = self._next = next(waiting, None)
        if one is None or not one.item.path:
            return
        began = monotonic()
        try:
            self._lookout.reached(one.item)
            seen = one.item.seen
            if seen is not None and seen.size <= AHEAD and self._as_it_is(one.item):
                self._reader, self._other = self._other, self._reader
                self._ready = self._reader.data_set(one.item)
        except (BadData, NoAcceptedContext):
            pass  # said when it is its turn
        finally:
            self._deadline.excuse(monotonic() - began)

    def _as_it_is(self, item: Outgoing) -> bool:
        return self._chooser.ways(item)[0][1] == item.transfer_syntax

    def _data(self, one: Sent, ready: memoryview | None) -> bytes | memoryview:
        """The bytes to send, on the first of the contexts that fit for which they can be made."""
        trouble: BadData | MissingCodec | None = None
        self._lookout.reached(one.item)
        if self._manner.lossy is not None and (reduced := self._reduced(one, self._manner.lossy)) is not None:
            return reduced
        for context_id, syntax in self._chooser.ways(one.item):
            if syntax == JPEG_2000_LOSSY != one.item.transfer_syntax:
                continue
            try:
                data = self._encoded(one.item, syntax, ready)
                one.context, one.syntax = context_id, syntax
                return data
            except BadFile:
                raise
            except (BadData, MissingCodec) as error:
                trouble = trouble or error
        assert trouble is not None
        raise trouble

    def _reduced(self, one: Sent, ratio: float) -> bytes | None:
        """An image with loss, as it was asked for; None for what is no image, or has lost already: it goes as it is."""
        item = one.item
        dataset = read_file(item.path) if item.dataset is None else item.dataset
        if "PixelData" not in dataset or item.transfer_syntax in LOSSY:
            return None
        if item.dataset is None:
            self._reader.data_set(item)  # is it whole?
        ways = [context_id for context_id, syntax in self._chooser.ways(item) if syntax == JPEG_2000_LOSSY]
        if not ways:
            raise self._chooser.none(item, JPEG_2000_LOSSY)
        data, one.instance = with_loss(dataset, item.transfer_syntax, ratio)
        one.context, one.syntax = ways[0], JPEG_2000_LOSSY
        return data

    def _encoded(self, item: Outgoing, syntax: str, ready: memoryview | None) -> bytes | memoryview:
        if item.dataset is not None:
            return transcode(item.dataset, item.transfer_syntax, syntax)
        data = self._reader.data_set(item) if ready is None else ready
        if syntax != item.transfer_syntax or data[:2] == b"\0\0":  # command elements are never sent (R6.10)
            return transcode(read_file(item.path), item.transfer_syntax, syntax)
        return data if self._deadline.hooks is None else bytes(data)  # a hook may keep it

    # -- the messages ----------------------------------------------------------------------------------------

    def _ask(self, one: Sent, data: bytes | memoryview) -> int:
        return self._association.send(
            CommandField.C_STORE_RQ,
            one.item.sop_class,
            data,
            context_id=one.context,
            sop_instance=one.instance or one.item.sop_instance,
            priority=self._manner.priority,
            originator=self._manner.originator,
        )

    def _answer(self, one: Sent, message_id: int) -> Status:
        association = self._association
        status: Status | None = None
        for message in association.responses(message_id, CommandField.C_STORE_RQ, "C-STORE"):
            status = message.status
            if message.command.sop_instance not in ("", association.asked_for):
                raise association.broken(
                    f"a C-STORE response names the instance {printable(message.command.sop_instance)}"
                )
        assert status is not None
        if association.asked_for != (one.instance or one.item.sop_instance):
            one.instance = association.asked_for
            one.comment = f"a hook had it sent as {printable(association.asked_for)}"
        elif one.instance:
            one.comment = f"a copy with loss, {one.instance}"
        return status


class Chooser:
    """The contexts for an instance, of those that were accepted (R6.3)."""

    def __init__(self, association: Association, manner: Manner) -> None:
        self._association, self._manner = association, manner
        self._accepted: dict[str, dict[str, int]] = {}
        self._found: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for context_id, (sop_class, syntax) in association.accepted.contexts.items():
            self._accepted.setdefault(sop_class, {}).setdefault(syntax, context_id)

    def ways(self, item: Outgoing) -> list[tuple[int, str]]:
        """Ids and transfer syntaxes: the instance's own, then those that it can be changed to without loss.

        Raises
        ------
        NoAcceptedContext
            The peer takes the class in none of them.
        """
        pair = item.sop_class, item.transfer_syntax
        if pair not in self._found:
            accepted = self._accepted.get(item.sop_class, {})
            ways = [(accepted[syntax], syntax) for syntax in self._manner.syntaxes(item) if syntax in accepted]
            if not ways:
                raise self.none(item)
            self._found[pair] = ways
        return self._found[pair]

    def none(self, item: Outgoing, asked: str = "") -> NoAcceptedContext:
        """The error where the peer takes the class in no syntax that fits, or not in the one that was asked for."""
        self._association.context(item.sop_class)  # raises where there is none at all
        taken = ", ".join(UID(syntax).name for syntax in self._accepted.get(item.sop_class, {}))
        own = UID(item.transfer_syntax).name
        why = f"{UID(asked).name} was asked for" if asked else f"{own} cannot be changed to that without loss"
        return NoAcceptedContext(
            f"{UID(item.sop_class, IGNORE).name} is taken as {taken} only, and {why}",
            abstract_syntax=item.sop_class,
            result=4,
            peer=self._association.node.identity,
            phase="association",
            elapsed=self._association.deadline.elapsed,
            advice="Ask the PACS administrator to allow its transfer syntax, or Explicit VR Little Endian.",
        )
