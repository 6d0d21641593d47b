"""Store (PS3.4 annex B): instances to a peer, each as it is where the peer takes it so; a row each says how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from pydicom.config import IGNORE
from pydicom.uid import UID

from ..errors import BadData, BadFile, ConnectError, DicomlabError, MissingCodec, NoAcceptedContext
from ..markup import printable
from ..outgoing import Outgoing, Reader
from ..progress import Progress
from ..status import Category, Status
from ..transcoding import LOSSLESS, read_file, transcode
from . import contexts
from .association import Association, associate
from .deadline import Cancelled, Deadline
from .dimse import CommandField
from .node import Node
from .parallel import Parallel
from .pdu import ReleaseRequested

NOT_SENT = "not sent"
_WORDS: dict[type[BaseException], str] = {ReleaseRequested: "the peer asked for release"}
VAIN = 2  # associations in turn that may end before anything was answered


@dataclass
class Sent:
    """How it went with one instance."""

    item: Outgoing
    syntax: str = ""  # that it was sent in
    context: int | None = None
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


class Sending:
    """Sends instances on as many associations as the node allows.

    One that is lost takes the outcome of one instance with it; the rest goes over another, as long as each of them
    brings something about.
    """

    def __init__(
        self, node: Node, items: Sequence[Outgoing], deadline: Deadline, manner: Manner, progress: Progress
    ) -> None:
        self.node, self.deadline, self._manner, self._progress = node, deadline, manner, progress
        self.sent = [Sent(item, comment=item.trouble, tried=bool(item.trouble)) for item in items]
        self.cause: BaseException | None = None  # why it ended before all was tried
        self.lost: list[str] = []  # associations that ended in the middle
        self.refused: NoAcceptedContext | None = None  # the first class that the peer takes in no syntax
        self.associations = 0

    def run(self) -> None:
        """Send all; what ends it early is in ``cause``."""
        try:
            for batch in self._batches():
                self._batch(batch)
        except (DicomlabError, KeyboardInterrupt, Cancelled) as error:
            self.cause = error
        for one in self.sent:
            if not one.tried and not one.comment:
                one.comment = NOT_SENT

    def _batches(self) -> Iterator[list[Sent]]:
        """Parts whose contexts go into one association each (R6.2)."""
        part: list[Sent] = []
        pairs: set[tuple[str, str]] = set()
        for one in self.sent:
            if one.tried:
                continue
            more = pairs | set(self._pairs(one.item))
            if len(more) > contexts.LIMIT and part:
                yield part
                part, more = [], set(self._pairs(one.item))
            part.append(one)
            pairs = more
        if part:
            yield part

    def _pairs(self, item: Outgoing) -> list[tuple[str, str]]:
        """SOP class and transfer syntax of the contexts to propose for an instance: its own, then what we can make."""
        found = (*self._manner.prefer, item.transfer_syntax, *LOSSLESS)
        return [(item.sop_class, syntax) for syntax in dict.fromkeys(found)]

    def _batch(self, batch: list[Sent]) -> None:
        own = dict.fromkeys((one.item.sop_class, one.item.transfer_syntax) for one in batch)
        others = dict.fromkeys(pair for one in batch for pair in self._pairs(one.item))
        proposed = [contexts.Context(pair[0], (pair[1],)) for pair in {**own, **others}]
        waiting = batch
        vain = 0  # associations one after the other in which nothing was answered
        while waiting:
            answered = self._answered()
            several = Parallel(waiting, self.node.associations, self.deadline, self._job(proposed))
            try:
                several.run()
            except ConnectError as error:
                vain = 0 if self._answered() > answered else vain + 1
                left = [one for one in waiting if not one.tried]
                if vain == VAIN or not left or len(left) == len(waiting):
                    raise
                self.lost.append(error.message)
            except NoAcceptedContext as error:  # of all that were proposed
                self._refuse(waiting, error)
            finally:
                self.associations = max(self.associations, several.stood)
            waiting = [one for one in waiting if not one.tried]

    def _answered(self) -> int:
        return sum(one.status is not None for one in self.sent)

    def _job(
        self, proposed: Sequence[contexts.Context]
    ) -> Callable[[Iterator[Sent], Deadline, Callable[[], None]], None]:
        def job(waiting: Iterator[Sent], deadline: Deadline, stands: Callable[[], None]) -> None:
            with associate(self.node, proposed, deadline, phase="C-STORE") as association:
                stands()
                chooser = _Chooser(association, self._manner.prefer)
                reader = Reader()
                for one in waiting:
                    if deadline.stopped:
                        raise Cancelled
                    self._one(association, chooser, reader, one)

        return job

    def _one(self, association: Association, chooser: _Chooser, reader: Reader, one: Sent) -> None:
        """Send one instance; what is wrong with it is its own affair, what is wrong with the association is raised."""
        began = monotonic()
        try:
            data = self._data(chooser, reader, one)
        except (BadData, MissingCodec) as error:
            one.comment, one.tried = getattr(error, "said", error.message), True
            return
        except NoAcceptedContext as error:
            self._refuse([one], error)
            return
        finally:
            self.deadline.excuse(monotonic() - began)  # reading and changing it is no silence of the peer's
        began = monotonic()
        try:
            one.status = self._ask(association, one, data)
        except BaseException as error:
            why = error.message if isinstance(error, DicomlabError) else _WORDS.get(type(error), "stopped")
            one.comment, one.tried = f"{why}; whether it was stored is not known", True
            raise
        finally:
            one.seconds = monotonic() - began
        one.comment, one.tried = "; ".join(filter(None, (one.status.comment, one.comment))), True
        self.deadline.progressed()  # of a small one that left in one call nothing else is seen
        self._progress.advance(1, len(data))

    def _data(self, chooser: _Chooser, reader: Reader, one: Sent) -> bytes | memoryview:
        """The bytes to send, on the first of the contexts that fit for which they can be made."""
        trouble: BadData | MissingCodec | None = None
        for context_id, syntax in chooser.ways(one.item):
            try:
                data = self._encoded(reader, one.item, syntax)
                one.context, one.syntax = context_id, syntax
                return data
            except BadFile:
                raise
            except (BadData, MissingCodec) as error:
                trouble = trouble or error
        assert trouble is not None
        raise trouble

    def _encoded(self, reader: Reader, item: Outgoing, syntax: str) -> bytes | memoryview:
        if item.dataset is not None:
            return transcode(item.dataset, item.transfer_syntax, syntax)
        data = reader.data_set(item)
        if syntax != item.transfer_syntax or data[:2] == b"\0\0":  # command elements are never sent (R6.10)
            return transcode(read_file(item.path), item.transfer_syntax, syntax)
        return data if self.deadline.hooks is None else bytes(data)  # a hook may keep it

    def _ask(self, association: Association, one: Sent, data: bytes | memoryview) -> Status:
        item, manner = one.item, self._manner
        message_id = association.send(
            CommandField.C_STORE_RQ,
            item.sop_class,
            data,
            context_id=one.context,
            sop_instance=item.sop_instance,
            priority=manner.priority,
            originator=manner.originator,
        )
        status: Status | None = None
        for message in association.responses(message_id, CommandField.C_STORE_RQ, "C-STORE"):
            status = message.status
            if message.command.sop_instance not in ("", association.asked_for):
                raise association.broken(
                    f"a C-STORE response names the instance {printable(message.command.sop_instance)}"
                )
        assert status is not None
        if association.asked_for != item.sop_instance:
            one.comment = f"a hook had it sent as {printable(association.asked_for)}"
        return status

    def _refuse(self, several: Sequence[Sent], error: NoAcceptedContext) -> None:
        self.refused = self.refused or error
        for one in several:
            one.comment, one.tried = error.message, True


class _Chooser:
    """The contexts for an instance, of those that were accepted (R6.3)."""

    def __init__(self, association: Association, prefer: Sequence[str]) -> None:
        self._association = association
        self._prefer = prefer
        self._accepted: dict[str, dict[str, int]] = {}
        for context_id, (sop_class, syntax) in association.accepted.contexts.items():
            self._accepted.setdefault(sop_class, {}).setdefault(syntax, context_id)

    def ways(self, item: Outgoing) -> list[tuple[int, str]]:
        """Ids and transfer syntaxes: the instance's own, then those that it can be changed to without loss.

        Raises
        ------
        NoAcceptedContext
            The peer takes the class in none of them.
        """
        accepted = self._accepted.get(item.sop_class, {})
        order = dict.fromkeys((*self._prefer, item.transfer_syntax, *LOSSLESS))
        found = [(accepted[syntax], syntax) for syntax in order if syntax in accepted]
        if not found:
            self._association.context(item.sop_class)  # raises where there is none at all
            taken = ", ".join(UID(syntax).name for syntax in accepted)
            raise NoAcceptedContext(
                f"{UID(item.sop_class, IGNORE).name} is taken as {taken} only, and {UID(item.transfer_syntax).name} "
                "cannot be changed to that without loss",
                abstract_syntax=item.sop_class,
                result=4,
                peer=self._association.node.identity,
                phase="association",
                elapsed=self._association.deadline.elapsed,
                advice="Ask the PACS administrator to allow its transfer syntax, or Explicit VR Little Endian.",
            )
        return found
