"""A-ASSOCIATE: our request read by pynetdicom, and hostile answers read by us."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from dicomlab.datasets import filemeta
from dicomlab.datasets.uids import EXPLICIT, IMPLICIT
from dicomlab.net.association import items, negotiation
from dicomlab.net.association.contexts import STORABLE, Context

VERIFICATION = "1.2.840.10008.1.1"

CT, MR, GET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.2.2.3"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PROPOSED = [
    Context(GET, (EXPLICIT, IMPLICIT)),
    Context(CT, (EXPLICIT,)),
    Context(CT, (IMPLICIT,)),
    Context(MR, ("1.9",)),
]


def ours(contexts=PROPOSED, roles=(CT,)):
    return negotiation.request("LAB", "ARCHIVE", contexts, roles)


def answer(wanted=frozenset({GET, CT}), syntaxes=STORABLE):
    return negotiation.acceptance(negotiation.requested(ours()[6:]), wanted, syntaxes)[0]


def test_the_request_is_what_pynetdicom_reads():  # R1.6, R1.7, R1.9, R1.22
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(ours())
    primitive = pdu.to_primitive()
    assert (primitive.calling_ae_title, primitive.called_ae_title) == ("LAB", "ARCHIVE")
    assert primitive.maximum_length_received == 1 << 20
    offered = [
        (item.context_id, str(item.abstract_syntax), tuple(map(str, item.transfer_syntax)))
        for item in primitive.presentation_context_definition_list
    ]
    assert offered == [(2 * number + 1, *context) for number, context in enumerate(PROPOSED)]
    roles = pdu.user_information.role_selection
    assert {str(uid): (item.scu_role, item.scp_role) for uid, item in roles.items()} == {CT: (0, 1)}
    assert str(primitive.implementation_class_uid) == filemeta.IMPLEMENTATION_CLASS_UID
    assert len(filemeta.IMPLEMENTATION_VERSION_NAME) <= 16


def test_the_request_proposes_extended_options_for_each_class():  # R1.10
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(negotiation.request("LAB", "ARCHIVE", PROPOSED, (), {FIND: b"\1\0\1", GET: b"\1"}))
    items = {str(item.sop_class_uid): item.app_info for item in pdu.user_information.ext_neg}
    assert items == {FIND: b"\1\0\1", GET: b"\1"}


def extended_answer(*items):
    """The body of an A-ASSOCIATE-AC with such items 0x56 at the end of its user information."""
    body = answer()[6:]
    at = body.index(b"\x50\x00", 68)
    while at + 4 + int.from_bytes(body[at + 2 : at + 4], "big") != len(body):
        at = body.index(b"\x50\x00", at + 1)
    more = b""
    for uid, information in items:
        inner = len(uid).to_bytes(2, "big") + uid.encode() + information
        more += b"\x56\x00" + len(inner).to_bytes(2, "big") + inner
    inside = body[at + 4 :] + more
    return body[: at + 2] + len(inside).to_bytes(2, "big") + inside


@pytest.mark.parametrize(
    ("answered", "agreed"),
    [
        ([], []),
        ([(FIND, b"")], []),
        ([(FIND, b"\1")], [1]),  # shorter: the missing bytes are 0
        ([(FIND, b"\0\0\1")], [3]),
        ([(FIND, b"\1\0\1\1\1")], [1, 3]),  # longer than what was proposed
        ([(GET, b"\1")], []),  # of a class that nothing was proposed for
    ],
)
def test_an_extended_option_is_agreed_where_its_byte_was_answered(answered, agreed):  # R1.10
    accepted = negotiation.accepted(extended_answer(*answered), PROPOSED, {FIND: b"\1\0\1"})
    assert [byte for byte in range(1, 8) if accepted.agreed(FIND, byte)] == agreed
    assert not accepted.agreed(GET, 1)


def test_128_contexts_have_the_odd_ids_to_255():  # R1.6
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(ours([Context(f"1.2.{number}", (EXPLICIT,)) for number in range(128)], ()))
    ids = [item.context_id for item in pdu.to_primitive().presentation_context_definition_list]
    assert ids == list(range(1, 256, 2))


def test_an_acceptance_gives_each_class_its_context_or_the_reason():  # R1.8, R1.22
    accepted = negotiation.accepted(answer()[6:], PROPOSED)
    assert accepted.contexts == {1: (GET, EXPLICIT), 3: (CT, EXPLICIT), 5: (CT, IMPLICIT)}
    assert accepted.results == {GET: 0, CT: 0, MR: 3}
    assert accepted.maximum_length == 1 << 20
    accepted = negotiation.accepted(answer(frozenset({MR, CT}), (IMPLICIT,))[6:], PROPOSED)
    assert accepted.contexts == {5: (CT, IMPLICIT)}
    assert accepted.results == {GET: 3, CT: 0, MR: 4}


def test_pynetdicom_reads_our_acceptance():  # R1.22
    pdu = A_ASSOCIATE_AC()
    pdu.decode(answer())
    results = [item.result for item in pdu.to_primitive().presentation_context_definition_results_list]
    assert results == [0, 0, 0, 3]


def test_a_transfer_syntax_that_was_not_proposed_is_refused():  # R1.21
    answered = answer()[6:]
    with pytest.raises(ValueError, match="not proposed"):
        negotiation.accepted(answered, [PROPOSED[0], Context(CT, (IMPLICIT,)), *PROPOSED[2:]])


def test_a_context_that_was_not_proposed_is_refused():  # R1.21
    with pytest.raises(ValueError, match="never proposed"):
        negotiation.accepted(answer()[6:], PROPOSED[:1])


@pytest.mark.parametrize(("length", "fits"), [(0, True), (6, False), (7, True)])
def test_a_maximum_length_below_7_is_useless(length, fits):  # R1.22
    body = answer()[6:]
    at = body.index(b"\x51\x00\x00\x04") + 4
    body = body[:at] + length.to_bytes(4, "big") + body[at + 4 :]
    if fits:
        assert negotiation.accepted(body, PROPOSED).maximum_length == length
    else:
        with pytest.raises(ValueError, match="useless"):
            negotiation.accepted(body, PROPOSED)


def test_a_maximum_length_below_7_is_useless_in_a_request_too():  # R1.22
    body = ours()[6:]
    at = body.index(b"\x51\x00\x00\x04") + 4
    assert negotiation.requested(body).maximum_length == 1 << 20
    with pytest.raises(ValueError, match="useless"):
        negotiation.requested(body[:at] + (6).to_bytes(4, "big") + body[at + 4 :])


def test_items_that_do_not_fit_their_pdu_are_named():  # R0.8
    body = bytearray(answer()[6:])
    assert items.read(bytes(body)).calling == "LAB"
    long = body[:70] + b"\xff\xff" + body[72:]
    for wrong, words in ((body[:60], "too short"), (body[:-1], "claims"), (long, "item 0x10 claims 65535 bytes")):
        with pytest.raises(ValueError, match=words):
            items.read(bytes(wrong))


@settings(deadline=None)  # other tests may keep the machine busy
@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_an_answer_that_was_tampered_with_is_read_or_a_value_error(at, noise):  # R0.8
    body = bytearray(answer()[6:])
    at %= len(body)
    body[at : at + len(noise)] = noise
    with contextlib.suppress(ValueError):
        negotiation.accepted(bytes(body), PROPOSED)


@settings(deadline=None)  # other tests may keep the machine busy
@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_a_request_that_was_tampered_with_is_answered_or_a_value_error(at, noise):  # R0.8
    body = bytearray(ours()[6:])
    at %= len(body)
    body[at : at + len(noise)] = noise
    try:
        asked = negotiation.requested(bytes(body))
    except ValueError:
        return
    negotiation.acceptance(asked, frozenset({CT}), STORABLE)


def test_a_rejection_is_put_in_words_with_advice():  # R0.4
    words, advice, *numbers = negotiation.rejection(negotiation.reject_pdu(1, 1, 3)[6:], "LAB", "ARCHIVE")
    assert "calling AE title not recognised" in words
    assert "LAB" in advice
    assert numbers == [1, 1, 3]
    assert "temporary congestion" in negotiation.rejection(negotiation.reject_pdu(2, 3, 1)[6:], "A", "B")[0]
    assert negotiation.rejection(b"", "A", "B")[2:] == (0, 0, 0)


def test_the_same_request_is_encoded_once_and_another_is_another():
    one = negotiation.request("A", "B", [Context(VERIFICATION, (IMPLICIT,))])
    assert negotiation.request("A", "B", (Context(VERIFICATION, (IMPLICIT,)),)) is one
    assert negotiation.request("A", "C", [Context(VERIFICATION, (IMPLICIT,))]) != one
    assert negotiation.request("A", "B", [Context(VERIFICATION, (EXPLICIT,))]) != one
    assert negotiation.request("A", "B", [Context(VERIFICATION, (IMPLICIT,))], extended={VERIFICATION: b"\1"}) != one
