"""A peer and what can be asked of it: one line for each service."""

from __future__ import annotations

from typing import NoReturn

from .. import phi
from ..errors import InvalidRequest
from ..markup import Html, rows
from .asking import Asking
from .association.addressbook import Nodes, nodes
from .association.node import Node
from .performing import Performing
from .recording import Recording
from .sending import Sending


class Peer(Asking, Sending, Performing, Recording):
    """A PACS, or any DICOM application, as seen from here; made by `connect`.

    Nothing is open between two calls: each opens its own association and ends it.
    """

    def __repr__(self) -> str:
        rights = f"may {', '.join(sorted(self.node.allow))}" if self.node.allow else "read-only"
        back = f", listens on port {self.node.listen} for C-MOVE" if self.node.listen else ""
        tls, inbound = self.node.tls, self.node.inbound_tls
        sealed = ", TLS" if tls else ""
        if self.node.listen and bool(tls) != bool(inbound):
            back += " with TLS" if inbound else " without TLS"
        ended = ", closed" if self._closed else ""
        return f"Peer {self.node.identity} as {self.node.calling} ({rights}{sealed}{back}{ended})"

    def __reduce__(self) -> NoReturn:
        raise InvalidRequest(
            "a peer stays in its process: what runs there, its logs and hooks are no data",
            peer=self.node.identity,
            advice="Hand over peer.node, which is data, and write dicomlab.connect(node) there.",
        )

    def _repr_html_(self) -> Html:
        agreed = self._negotiated
        state = "closed" if self._closed else f"{len(self.jobs)} jobs run" if self.jobs else "nothing runs"
        more = [
            ("implementation", f"{agreed.implementation_version} {agreed.implementation_class}" if agreed else
             "not known: nothing was asked yet"),
            ("received instances", f"in {phi.path(str(self.cache.root))}"),
            ("now", state),
        ]  # fmt: skip
        return rows([*self.node.facts(), *more], f"Peer {self.node.name or self.node.identity}")

    def at(self, node: str | Node) -> Peer:
        """The peer at another node, by name, address or `Node`, that keeps what it receives in the same cache.

        Examples
        --------
        >>> import dicomlab as dl
        >>> dl.connect("ARCHIVE@localhost:11112").at("RESEARCH@localhost:104")
        Peer RESEARCH@localhost:104 as DICOMLAB (read-only)
        """
        from .connecting import connect  # which makes peers

        return connect(node, cache=self.cache)

    def nodes(self) -> Nodes:
        """The named nodes of this user, as `dicomlab.nodes` gives them."""
        return nodes()
