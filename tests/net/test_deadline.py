"""Deadlines: what is progress, what ends a call, and what is left after a cancel."""

from __future__ import annotations

import time

import pytest

from dicomlab.errors import DimseTimeout
from dicomlab.net.association.deadline import Cancelled, Deadline


def test_a_grace_time_ends_soon_after_the_total_deadline():  # R1.4: within the deadline + 1 s
    assert Deadline(10, 100).grace(5).remaining == pytest.approx(5, abs=0.1)
    assert Deadline(10, 1).grace(5).remaining == pytest.approx(1.5, abs=0.1)
    assert Deadline(10).grace(5).remaining == pytest.approx(5, abs=0.1)
    over = Deadline(10, 0.01)
    time.sleep(0.02)
    assert 0 < over.grace(5).remaining <= 0.5


def test_a_cancel_ends_a_grace_time_that_began_before_it():  # R1.17
    call = Deadline(10)
    grace = call.grace(5)
    call.cancel()
    with pytest.raises(Cancelled):
        grace.check(DimseTimeout)
    call.grace(5).check(DimseTimeout)  # for the final response after that cancel


def test_time_that_we_took_ourselves_is_no_silence_of_the_peer():  # R1.5
    call = Deadline(0.1)
    time.sleep(0.15)
    assert call.remaining < 0
    call.excuse(0.15)
    call.check(DimseTimeout)
    assert call.idle < 0.1
    call.progressed()  # another association's data moved meanwhile
    call.excuse(5)
    assert 0 < call.remaining <= 0.1


def test_the_sentence_says_which_deadline_has_passed():  # R0.4
    for clock, words in (
        (Deadline(0.01), "nothing moved for 0.01 s"),
        (Deadline(0.01, 0.01), "not finished within 0.01 s"),
        (Deadline(5, 0.01), "not finished within the total deadline of 0.01 s"),
    ):
        time.sleep(0.02)
        with pytest.raises(DimseTimeout, match=words):
            clock.check(DimseTimeout)
