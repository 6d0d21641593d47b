"""A-ASSOCIATE: what is asked for, what came back, and what is granted (PS3.8 9.3.2, PS3.7 D.3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

from ...errors import InvalidRequest
from . import items
from .contexts import LIMIT, Context
from .pdu import MAXIMUM_LENGTH, PduType

RESULTS = {
    0: "accepted",
    1: "rejected by the user",
    2: "rejected without a reason",
    3: "the peer does not support the SOP class",
    4: "the peer does not support the transfer syntaxes",
}
_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognised",
    (1, 7): "called AE title not recognised",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_ADVICE = {
    (1, 3): "Ask the PACS administrator to enter your AE title ({calling}), or give the one that was agreed: "
    "connect(..., calling=...).",
    (1, 7): "Check the AE title before the @: the archive does not call itself {called}.",
    (3, 1): "The archive is busy; try again later.",
    (3, 2): "The archive has no association left; try again later or open fewer at once.",
}


@dataclass(frozen=True)
class Proposal:
    """What an association is asked for."""

    contexts: tuple[Context, ...]  # 1 to 128 (R1.6)
    scp_roles: tuple[str, ...] = ()  # abstract syntaxes for which we want to be the SCP (R1.9)
    extended: Mapping[str, bytes] = field(default_factory=dict)  # SOP class -> application information (R1.10)

    def __post_init__(self) -> None:
        if not 1 <= len(self.contexts) <= LIMIT:
            raise InvalidRequest(
                f"an association proposes 1 to {LIMIT} presentation contexts, not {len(self.contexts)}",
                advice="Open several associations for more.",
            )
        contexts = tuple(Context(abstract, tuple(syntaxes)) for abstract, syntaxes in self.contexts)
        object.__setattr__(self, "contexts", contexts)  # a hook may have given lists


@dataclass(frozen=True)
class Accepted:
    """What an association may be used for, as both sides agreed (R1.22)."""

    contexts: Mapping[int, tuple[str, str]]  # context id -> (abstract syntax, transfer syntax)
    results: dict[str, int]  # abstract syntax -> best result of its contexts, 0 accepted
    maximum_length: int  # bytes of a PDU that the peer takes, 0 for any
    implementation_class: str = ""
    implementation_version: str = ""
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)  # class -> (SCU, SCP) as answered
    extended: dict[str, bytes] = field(default_factory=dict)  # class -> application information as answered
    answers: dict[int, int] = field(default_factory=dict)  # context id -> its result, 0 accepted
    user_response: bytes | None = field(default=None, repr=False)  # to the user identity; None: it was not answered

    def agreed(self, sop_class: str, byte: int) -> bool:
        """Whether that option of SOP Class Extended Negotiation was agreed; a byte that did not come is 0 (R1.10).

        Parameters
        ----------
        byte
            Counted from 1, as in PS3.4 C.5.1: 1 relational queries, 3 fuzzy matching of person names, ...

        Examples
        --------
        >>> accepted = Accepted({}, {}, 0, extended={"1.2.840.10008.5.1.4.1.2.2.1": b"\\1"})
        >>> accepted.agreed("1.2.840.10008.5.1.4.1.2.2.1", 1), accepted.agreed("1.2.840.10008.5.1.4.1.2.2.1", 3)
        (True, False)
        """
        return self.extended.get(sop_class, b"")[byte - 1 : byte] == b"\1"


def request(
    calling: str,
    called: str,
    contexts: Sequence[Context],
    scp_roles: Sequence[str] = (),
    extended: Mapping[str, bytes] = MappingProxyType({}),
    user: bytes | None = None,
) -> bytes:
    """A whole A-ASSOCIATE-RQ.

    Parameters
    ----------
    contexts
        They get the ids 1, 3, 5, ... in this order.
    scp_roles
        Abstract syntaxes for which we want to be the SCP: the storage classes of a C-GET (R1.9).
    extended
        SOP class to the service class application information that is proposed for it (R1.10).
    user
        The encoded item of a user identity (R1.11); a request with one is not kept.
    """
    values = (calling, called, tuple(contexts), tuple(scp_roles), tuple(extended.items()))
    return _request(*values) if user is None else _made(*values, user)


@lru_cache(maxsize=64)  # a peer is asked for the same again and again
def _request(
    calling: str,
    called: str,
    contexts: tuple[Context, ...],
    scp_roles: tuple[str, ...],
    extended: tuple[tuple[str, bytes], ...],
) -> bytes:
    return _made(calling, called, contexts, scp_roles, extended)


def _made(
    calling: str,
    called: str,
    contexts: tuple[Context, ...],
    scp_roles: tuple[str, ...],
    extended: tuple[tuple[str, bytes], ...],
    user: bytes | None = None,
) -> bytes:
    proposed = (
        items.offered(2 * number + 1, context.abstract_syntax, context.transfer_syntaxes)
        for number, context in enumerate(contexts)
    )
    roles = dict.fromkeys(scp_roles, (False, True))
    information = items.user_information(MAXIMUM_LENGTH, roles, dict(extended), user or b"")
    return items.associate(PduType.ASSOCIATE_RQ, called, calling, proposed, information)


def accepted(
    body: bytes, contexts: Sequence[Context], extended: Mapping[str, bytes] = MappingProxyType({})
) -> Accepted:
    """What an A-ASSOCIATE-AC with that body (without its six bytes of header) agrees to.

    What it says of extended options that were not proposed agrees to nothing.

    Raises
    ------
    ValueError
        It breaks the protocol; the message says how.
    """
    same = _accepted(body, tuple(contexts), tuple(extended.items()))
    return replace(  # its reader may change these, the next association must not see it
        same,
        contexts=dict(same.contexts),
        results=dict(same.results),
        roles=dict(same.roles),
        extended=dict(same.extended),
        answers=dict(same.answers),
    )


@lru_cache(maxsize=16)  # and mostly gives the same answer
def _accepted(body: bytes, contexts: tuple[Context, ...], extended: tuple[tuple[str, bytes], ...]) -> Accepted:
    said = items.read(body)
    agreed: dict[int, tuple[str, str]] = {}
    results: dict[str, int] = {}
    each: dict[int, int] = {}
    for answer in said.contexts:
        context_id, result = answer.context_id, answer.result
        number = (context_id - 1) // 2
        if context_id % 2 == 0 or number >= len(contexts):
            raise ValueError(f"context {context_id} was answered and never proposed")
        context = contexts[number]
        each[context_id] = result
        if result == 0:
            syntax = answer.transfer_syntaxes[0] if answer.transfer_syntaxes else ""
            if syntax not in context.transfer_syntaxes:
                raise ValueError(
                    f"context {context_id} was accepted with transfer syntax {syntax[:80] or '(none)'}, "
                    "which was not proposed"
                )
            agreed[context_id] = (context.abstract_syntax, syntax)
        before = results.get(context.abstract_syntax, result)
        results[context.abstract_syntax] = min(before, result)
    user = said.user
    return Accepted(
        agreed,
        results,
        user.maximum_length,
        user.implementation_class,
        user.implementation_version,
        dict(user.roles),
        {uid: user.extended[uid][: len(asked)] for uid, asked in extended if uid in user.extended},
        each,
        user.user_response,
    )


def rejection(body: bytes, calling: str, called: str) -> tuple[str, str, int, int, int]:
    """Sentence, advice, result, source and reason of an A-ASSOCIATE-RJ with that body (PS3.8 9.3.4)."""
    result, source, reason = (body[1], body[2], body[3]) if len(body) >= 4 else (0, 0, 0)
    how = {1: "permanent", 2: "transient"}.get(result, f"result {result}")
    words = _REASONS.get((source, reason), f"source {source}, reason {reason}")
    advice = _ADVICE.get((source, reason), "The archive's log says why.").format(calling=calling, called=called)
    return f"the association was rejected ({how}): {words}", advice, result, source, reason


# -- as acceptor: the listener of a C-MOVE to ourselves --------------------------------------------------------


@dataclass(frozen=True)
class Requested:
    """What an A-ASSOCIATE-RQ asks for."""

    calling: str
    called: str
    contexts: list[tuple[int, str, tuple[str, ...]]]  # id, abstract syntax, transfer syntaxes
    maximum_length: int  # bytes of a PDU that the peer takes, 0 for any
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)  # class -> the requestor as SCU, as SCP


def requested(body: bytes) -> Requested:
    """What an A-ASSOCIATE-RQ with that body asks for.

    Raises
    ------
    ValueError
        It breaks the protocol.
    """
    said = items.read(body)
    contexts = [(one.context_id, one.abstract_syntax, one.transfer_syntaxes) for one in said.contexts]
    if not contexts:
        raise ValueError("an association request without presentation contexts")
    for context_id, _, _ in contexts:
        if context_id % 2 == 0:
            raise ValueError(f"context id {context_id} is not odd")
    return Requested(said.calling, said.called, contexts, said.user.maximum_length, said.user.roles)


def acceptance(asked: Requested, wanted: frozenset[str], syntaxes: Sequence[str]) -> tuple[bytes, Accepted]:
    """A whole A-ASSOCIATE-AC that takes what is in `wanted` with the first syntax of `syntaxes` offered for it.

    Roles are taken as they are asked for.
    """
    agreed: dict[int, tuple[str, str]] = {}
    answers = []
    for context_id, abstract, offered in asked.contexts:
        choice = next((uid for uid in syntaxes if uid in offered), "")
        result = 3 if abstract not in wanted else 0 if choice else 4
        if result == 0:
            agreed[context_id] = (abstract, choice)
        answers.append(items.answered(context_id, result, choice or syntaxes[0]))
    taken = {abstract for abstract, _ in agreed.values()}
    information = items.user_information(MAXIMUM_LENGTH, {uid: asked.roles[uid] for uid in asked.roles if uid in taken})
    answer = items.associate(PduType.ASSOCIATE_AC, asked.called, asked.calling, answers, information)
    return answer, Accepted(agreed, {}, asked.maximum_length)


def reject_pdu(result: int, source: int, reason: int) -> bytes:
    """A whole A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return bytes([3, 0, 0, 0, 0, 4, 0, result, source, reason])
