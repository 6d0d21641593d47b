"""Damaged bytes of what is no image: a typed error or what can be read, never a crash (R0.4, R12.9)."""

from __future__ import annotations

import random
import warnings

import pytest
from support import shared

from dicomlab import load
from dicomlab.errors import DicomlabError

FILES = (
    "seg_sm_highdicom/sr_document.dcm", "codecs_pydicom/test_files/test-SR.dcm", "waveform_ecg/waveform_ecg.dcm",
    "presentation_states/img/prLUTs.dcm", "rt_pydicom/rtplan.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("insert", [False, True])
def test_damaged_bytes_raise_typed_errors_only(tmp_path, name, insert):
    whole, chance, path = shared(f"data/{name}").read_bytes(), random.Random(7), tmp_path / "damaged.dcm"
    outcomes = set()
    for number in range(40):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 2, 8])):
            at = chance.randrange(132, min(len(data), 20_000))
            data[at : at + (not insert)] = bytes([chance.randrange(256)])
        path.write_bytes(data if number % 8 else data[: chance.randrange(132, len(data))])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = load(path)
            assert repr(found) and found._repr_html_()
            outcomes.add("read")
        except DicomlabError:
            outcomes.add("refused")
    assert "refused" in outcomes
