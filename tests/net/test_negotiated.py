"""The facts of an association, as a peer gives them after a call (SPEC 1, R1.22)."""

from __future__ import annotations

import dataclasses

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.datasets.uids import EXPLICIT, IMPLICIT
from dicomlab.demo import Holdings
from dicomlab.net.association.contexts import Context
from dicomlab.net.association.negotiated import Negotiated
from dicomlab.net.association.negotiation import Accepted, Proposal

VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"


def test_a_peer_gives_the_facts_of_its_last_association() -> None:  # R1.22
    with dl.demo_pacs(Holdings.t31()) as pacs:
        assert pacs.negotiated is None
        pacs.echo()
        facts = pacs.negotiated
        assert facts is not None
        assert (facts.peer, facts.calling, facts.called) == (pacs.node.identity, "DICOMLAB", "DEMO")
        (context,) = facts.contexts
        assert (context.context_id, context.abstract_syntax, context.result) == (1, VERIFICATION, 0)
        assert context.transfer_syntax in context.proposed
        assert (facts.maximum_length, facts.own_maximum_length) == (1 << 17, 1 << 20)
        assert facts.implementation_class.startswith("1.2.826.0.1.3680043.9.3811")  # pynetdicom's
        pacs.find("STUDY", PatientID="*")
        assert pacs.negotiated is not facts and pacs.negotiated.contexts[0].abstract_syntax != VERIFICATION


def test_the_facts_of_a_refusal_say_why() -> None:  # R1.8, R1.22
    with dl.demo_pacs(Holdings.t31()) as pacs:
        with pytest.raises(errors.NoAcceptedContext):
            pacs.find(None, model="1.2.840.10008.5.1.4.31", PatientID="1")
        assert pacs.negotiated is not None
        assert pacs.negotiated.contexts[0].result == 3
        assert "does not support the SOP class" in repr(pacs.negotiated)


def test_what_is_done_to_the_facts_is_not_done_to_the_next_association() -> None:  # R1.22
    with dl.demo_pacs(Holdings.t31()) as pacs:
        pacs.echo()
        assert pacs.negotiated is not None
        accepted = pacs.negotiated.accepted
        for facts in (accepted.contexts, accepted.results, accepted.answers, accepted.roles, accepted.extended):
            facts.clear()  # type: ignore[attr-defined]
        accepted.extended[VERIFICATION] = b"\1"
        pacs.echo()
        assert not pacs.negotiated.extended and pacs.negotiated.contexts[0].result == 0


def made(**changes: object) -> Negotiated:
    proposal = Proposal((Context(CT, (EXPLICIT,)), Context(CT, (IMPLICIT,))), (CT,), {CT: b"\1\1"})
    accepted = Accepted({1: (CT, EXPLICIT)}, {CT: 0}, 0, "1.2.3", "ARCHIVE_1", {CT: (False, True)}, {CT: b"\1"}, {1: 0})
    return Negotiated("A@h:1", "LAB", "A", proposal, dataclasses.replace(accepted, **changes))  # type: ignore[arg-type]


def test_every_context_has_its_own_result() -> None:  # R1.22
    assert [(item.context_id, item.result, item.transfer_syntax) for item in made().contexts] == [
        (1, 0, EXPLICIT),
        (3, None, ""),
    ]
    assert made().roles == {CT: (False, True)} and made().extended == {CT: b"\1"}
    assert made().agreed(CT, 1) and not made().agreed(CT, 2)


def test_the_facts_read_as_words() -> None:  # R1.22: 0 is unlimited
    text = repr(made())
    for words in ("LAB calls A", "ARCHIVE_1 1.2.3", "unlimited", "SCP roles", "1 of 1 agreed", "1 of 2 accepted"):
        assert words in text
    assert "Explicit VR Little Endian" in text and "not answered" in text


def test_what_the_peer_calls_itself_is_no_markup() -> None:  # R0.8
    facts = made(implementation_version="<b>x\x1b[2J", implementation_class="<script>")
    html = facts._repr_html_()
    assert "<b>" not in html and "<script>" not in html and "&lt;b&gt;x" in html
    assert "\x1b" not in html + repr(facts)


def test_the_facts_cannot_be_changed() -> None:  # R1.22: other threads may read them
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().peer = "B@h:1"  # type: ignore[misc]
