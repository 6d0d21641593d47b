"""What was agreed for one association, to be read and shown (R1.22)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...datasets.filemeta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ...markup import Html, joined, printable, rows, tag
from .negotiation import RESULTS, Accepted, Proposal
from .pdu import MAXIMUM_LENGTH
from .sealed import Link


@dataclass(frozen=True)
class ContextResult:
    """One presentation context and what came of it (PS3.8 9.3.3.2)."""

    context_id: int  # odd, 1 to 255
    abstract_syntax: str  # UID of the SOP class
    proposed: tuple[str, ...]  # transfer syntaxes
    transfer_syntax: str  # the one accepted, "" where it was refused
    result: int | None  # 0 accepted, 1 to 4 why not, None where the peer did not answer

    @property
    def words(self) -> str:
        """The result in words."""
        return "not answered" if self.result is None else RESULTS.get(self.result, f"result {self.result}")


@dataclass(frozen=True)
class Negotiated:
    """The facts of one association: who, what was proposed, what was agreed; `Peer.negotiated` gives the last.

    Examples
    --------
    >>> import dicomlab as dl
    >>> with dl.demo_pacs() as pacs:
    ...     _ = pacs.echo()
    ...     facts = pacs.negotiated
    >>> facts.contexts[0].words, facts.maximum_length, facts.agreed("1.2.840.10008.5.1.4.1.2.2.1", 1)
    ('accepted', 131072, False)
    """

    peer: str  # "AET@host:port"
    calling: str  # our AE title
    called: str  # the peer's
    proposal: Proposal
    accepted: Accepted
    tls: Link | None = None  # what protects the connection: version, cipher, the peer's certificate; None: nothing

    own_maximum_length = MAXIMUM_LENGTH  # bytes of a PDU that we take
    own_implementation_class = IMPLEMENTATION_CLASS_UID
    own_implementation_version = IMPLEMENTATION_VERSION_NAME

    @property
    def contexts(self) -> tuple[ContextResult, ...]:
        """Every presentation context that was proposed, with its result."""
        found = []
        for number, (abstract, proposed) in enumerate(self.proposal.contexts):
            context_id = 2 * number + 1
            _, syntax = self.accepted.contexts.get(context_id, ("", ""))
            answer = self.accepted.answers.get(context_id)
            found.append(ContextResult(context_id, abstract, tuple(proposed), syntax, answer))
        return tuple(found)

    @property
    def maximum_length(self) -> int:
        """Bytes of a PDU that the peer takes, 0 for any."""
        return self.accepted.maximum_length

    @property
    def implementation_class(self) -> str:
        """Implementation Class UID of the peer."""
        return self.accepted.implementation_class

    @property
    def implementation_version(self) -> str:
        """Implementation Version Name of the peer, "" where it gave none."""
        return self.accepted.implementation_version

    @property
    def roles(self) -> dict[str, tuple[bool, bool]]:
        """SOP class to (SCU, SCP) as the peer answered; a class that is absent has the default roles."""
        return dict(self.accepted.roles)

    @property
    def extended(self) -> dict[str, bytes]:
        """SOP class to the service class application information that the peer answered."""
        return dict(self.accepted.extended)

    @property
    def user_response(self) -> bytes | None:
        """What the peer answered to the user identity: b"" to a name, its ticket or token to ours; None for nothing."""
        return self.accepted.user_response

    def agreed(self, sop_class: str, byte: int) -> bool:
        """Whether that option of extended negotiation was agreed; `byte` is counted from 1 (R1.10)."""
        return self.accepted.agreed(sop_class, byte)

    def __repr__(self) -> str:
        lines = [f"{name:24}{value}" for name, value in self._facts()]
        lines += [f"  {item.context_id:3}  {name}: {words}" for item, name, words in self._contexts()]
        return "\n".join(lines)

    def _repr_html_(self) -> Html:
        heads = tag("tr", [tag("th", head) for head in ("id", "abstract syntax", "result")])
        lines = [
            tag("tr", tag("td", item.context_id), tag("td", name, title=item.abstract_syntax), tag("td", words))
            for item, name, words in self._contexts()
        ]
        return joined(rows(self._facts()), tag("details", tag("summary", "Contexts"), tag("table", heads, lines)))

    def _facts(self) -> Iterator[tuple[str, str]]:
        taken = sum(item.result == 0 for item in self.contexts)
        limit = f"{self.maximum_length:,} bytes" if self.maximum_length else "unlimited"
        yield "peer", self.peer
        yield "AE titles", f"{self.calling} calls {self.called}"
        yield "implementation", printable(f"{self.implementation_version} {self.implementation_class}".strip())
        yield "maximum PDU", f"{limit} (ours: {self.own_maximum_length:,} bytes)"
        if self.tls is not None:
            yield "TLS", printable(str(self.tls))
        if self.proposal.scp_roles:
            scp = sum(scp for _, scp in self.roles.values())
            yield "SCP roles", f"{scp} of {len(self.proposal.scp_roles)} agreed"
        for uid in self.proposal.extended:
            yield f"extended {_name(uid)}", self.extended[uid].hex(" ") if uid in self.extended else "not answered"
        yield "contexts", f"{taken} of {len(self.contexts)} accepted"

    def _contexts(self) -> Iterator[tuple[ContextResult, str, str]]:
        for item in self.contexts:
            syntax = f", {_name(item.transfer_syntax)}" if item.transfer_syntax else ""
            yield item, _name(item.abstract_syntax), item.words + syntax


def _name(uid: str) -> str:
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    return UID(uid, IGNORE).name
