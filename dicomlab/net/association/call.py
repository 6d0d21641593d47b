"""One call of a peer while it runs: its clock, its turn, and what becomes of it at its end."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...errors import ConnectError
from .admission import admission
from .deadline import Cancelled, Deadline, let_go
from .node import Node

if TYPE_CHECKING:
    from ..calling import Calling


class Call:
    """One call that runs, so that `Peer.cancel` finds it."""

    def __init__(self, peer: Calling, clock: Deadline) -> None:
        self._peer, self.clock = peer, clock
        self.waits: Callable[[str], object] = str  # is told why the call waits before it can begin

    def run(self, node: Node, work: Callable[[], Any]) -> Any:
        """Do that; where the node has no association for it, once another call of this process has ended."""
        with self:
            return admission(node).patiently(work, self.clock, self.waits)

    def __enter__(self) -> Call:
        self._peer._running.add(self.clock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._peer._running.discard(self.clock)
        self._peer._negotiated = self.clock.negotiated or self._peer._negotiated
        failed = None if self.clock.hooks is None else self.clock.hooks.error
        if failed is not None and failed is not error and not isinstance(error, KeyboardInterrupt):
            raise failed  # of a hook: in another thread, or what became of it on the way
        if isinstance(error, KeyboardInterrupt):
            let_go(error)
        if isinstance(error, Cancelled):  # where there is no result to give back
            raise ConnectError(
                "stopped by cancel() or close() before it was answered",
                peer=self._peer.node.identity,
                elapsed=self.clock.elapsed,
            ) from None
