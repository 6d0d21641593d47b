"""A-ASSOCIATE: the request, and what came back, with pynetdicom's codec (PS3.8 9.3.2, PS3.7 D.3.3)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ..errors import InvalidRequest
from .contexts import LIMIT, Context
from .items import check_items, check_length, user_information
from .pdu import MAXIMUM_LENGTH

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

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
    user_confirmed: bool = False  # whether the peer answered the user identity

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
    user: Any = None,
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
        The item of a user identity, as pynetdicom's primitive (R1.11); a request with one is not kept.
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
    user: Any = None,
) -> bytes:
    from pynetdicom.pdu import A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.presentation import build_context

    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    proposed = []
    for number, context in enumerate(contexts):
        item = build_context(context.abstract_syntax, list(context.transfer_syntaxes))
        item.context_id = 2 * number + 1
        proposed.append(item)
    primitive.presentation_context_definition_list = proposed
    roles = dict.fromkeys(scp_roles, (False, True))
    items = user_information(MAXIMUM_LENGTH, roles, dict(extended))
    primitive.user_information = items if user is None else [*items, user]
    return A_ASSOCIATE_RQ(primitive).encode()


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
    from pynetdicom.pdu import A_ASSOCIATE_AC

    wrong = check_items(body)
    if wrong:
        raise ValueError(wrong)
    pdu = A_ASSOCIATE_AC()
    try:
        pdu.decode(struct.pack(">BxL", 2, len(body)) + body)
        primitive = pdu.to_primitive()
        answers = primitive.presentation_context_definition_results_list
        length = primitive.maximum_length_received
        information = pdu.user_information
    except Exception as error:  # the codec raises whatever its slices raise
        raise ValueError(f"an A-ASSOCIATE-AC that cannot be read ({error})") from error
    agreed: dict[int, tuple[str, str]] = {}
    results: dict[str, int] = {}
    each: dict[int, int] = {}
    for answer in answers:
        context_id = answer.context_id or 0
        number = (context_id - 1) // 2
        if context_id % 2 == 0 or number >= len(contexts):
            raise ValueError(f"context {context_id} was answered and never proposed")
        context = contexts[number]
        result = each[context_id] = 2 if answer.result is None else int(answer.result)
        if result == 0:
            syntax = str(answer.transfer_syntax[0]) if answer.transfer_syntax else ""
            if syntax not in context.transfer_syntaxes:
                raise ValueError(
                    f"context {answer.context_id} was accepted with transfer syntax {syntax or '(none)'}, "
                    "which was not proposed"
                )
            agreed[context_id] = (context.abstract_syntax, syntax)
        before = results.get(context.abstract_syntax, result)
        results[context.abstract_syntax] = min(before, result)
    check_length(length)
    roles = {
        str(item.sop_class_uid): (bool(item.scu_role), bool(item.scp_role))
        for item in (information.role_selection.values() if information else ())
    }
    return Accepted(
        agreed,
        results,
        length or 0,
        str(information.implementation_class_uid or "") if information else "",
        _text(information.implementation_version_name) if information else "",
        roles,
        _agreed(information.ext_neg if information else (), dict(extended)),
        each,
        bool(information and information.user_identity is not None),
    )


def _agreed(answers: Sequence[Any], proposed: Mapping[str, bytes]) -> dict[str, bytes]:
    """The application information of those items as far as it was proposed."""
    found = {str(item.sop_class_uid): item.app_info or b"" for item in answers}
    return {uid: found[uid][: len(asked)] for uid, asked in proposed.items() if uid in found}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


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


def requested(body: bytes) -> Requested:
    """What an A-ASSOCIATE-RQ with that body asks for.

    Raises
    ------
    ValueError
        It breaks the protocol.
    """
    from pynetdicom.pdu import A_ASSOCIATE_RQ

    wrong = check_items(body)
    if wrong:
        raise ValueError(wrong)
    pdu = A_ASSOCIATE_RQ()
    try:
        pdu.decode(struct.pack(">BxL", 1, len(body)) + body)
        primitive = pdu.to_primitive()
        contexts = [
            (item.context_id or 0, str(item.abstract_syntax), tuple(str(uid) for uid in item.transfer_syntax))
            for item in primitive.presentation_context_definition_list
        ]
        calling, called = str(primitive.calling_ae_title).strip(), str(primitive.called_ae_title).strip()
        length = primitive.maximum_length_received or 0
    except Exception as error:  # the codec raises whatever its slices raise
        raise ValueError(f"an A-ASSOCIATE-RQ that cannot be read ({error})") from error
    check_length(length)
    return Requested(calling, called, contexts, length)


def acceptance(asked: Requested, wanted: frozenset[str], syntaxes: Sequence[str]) -> tuple[bytes, Accepted]:
    """A whole A-ASSOCIATE-AC that takes what is in `wanted` with the first syntax of `syntaxes` offered for it."""
    from pynetdicom.pdu import A_ASSOCIATE_AC
    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.presentation import build_context

    agreed: dict[int, tuple[str, str]] = {}
    answers = []
    for context_id, abstract, offered in asked.contexts:
        choice = next((uid for uid in syntaxes if uid in offered), "")
        answer = build_context(abstract, choice or (offered or syntaxes)[0])
        answer.context_id = context_id
        answer.result = 3 if abstract not in wanted else 0 if choice else 4
        if answer.result == 0:
            agreed[context_id] = (abstract, choice)
        answers.append(answer)
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = asked.calling, asked.called
    primitive.result, primitive.result_source = 0, 1
    primitive.presentation_context_definition_results_list = answers
    primitive.user_information = user_information(MAXIMUM_LENGTH)
    return A_ASSOCIATE_AC(primitive).encode(), Accepted(agreed, {}, asked.maximum_length)


def reject_pdu(result: int, source: int, reason: int) -> bytes:
    """A whole A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return bytes([3, 0, 0, 0, 0, 4, 0, result, source, reason])
