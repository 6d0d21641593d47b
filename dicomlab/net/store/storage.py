"""Store (PS3.4 annex B): instances to a peer, each as it is where the peer takes it so; a row each says how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...errors import ConnectError, DicomlabError, NoAcceptedContext
from ...outgoing.sendable import Lookout, Outgoing
from ...progress import Progress
from ..association import contexts
from ..association.association import associate
from ..association.deadline import Cancelled, Deadline
from ..association.node import Node
from ..association.parallel import Parallel
from .sender import Manner, Sender, Sent

NOT_SENT = "not sent"
VAIN = 2  # associations in turn that may end before anything was answered


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
        self._lookout = Lookout(items)
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
        kinds: set[tuple[str, str]] = set()
        for one in self.sent:
            if one.tried:
                continue
            if _kind(one) not in kinds or not part:
                more = pairs.union(self._pairs(one.item))
                if len(more) > contexts.LIMIT and part:
                    yield part
                    part, more = [], set(self._pairs(one.item))
                    kinds.clear()
                kinds.add(_kind(one))
                pairs = more
            part.append(one)
        if part:
            yield part

    def _pairs(self, item: Outgoing) -> list[tuple[str, str]]:
        """SOP class and transfer syntax of the contexts to propose for an instance: its own, then what we can make."""
        return [(item.sop_class, syntax) for syntax in self._manner.syntaxes(item)]

    def _batch(self, batch: list[Sent]) -> None:
        kinds = {_kind(one): one.item for one in batch}
        others = dict.fromkeys(pair for item in kinds.values() for pair in self._pairs(item))
        proposed = [contexts.Context(pair[0], (pair[1],)) for pair in {**dict.fromkeys(kinds), **others}]
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
                Sender(association, self._manner, self._lookout, self._progress, self._refuse).run(waiting)

        return job

    def _refuse(self, several: Sequence[Sent], error: NoAcceptedContext) -> None:
        self.refused = self.refused or error
        for one in several:
            one.comment, one.tried = error.message, True


def _kind(one: Sent) -> tuple[str, str]:
    """SOP class and transfer syntax of an instance."""
    return one.item.sop_class, one.item.transfer_syntax
