"""Questions to DCMTK's dcmqrscp and Orthanc that the main job does not ask (SPEC 3), T31 loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomlab as dl
from dicomlab.cache.cache import Cache
from dicomlab.net.association.node import Node, Quirks


@pytest.fixture(params=["qr", "orthanc"])
def real(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as cache:
        yield cache


@pytest.mark.parametrize(
    ("level", "keys", "rows"),
    [
        ("SERIES", {"Modality": "MR"}, 7),
        ("SERIES", {"PatientName": "Doe^P*", "Modality": "MR"}, 7),
        ("SERIES", {"PatientID": "*"}, 13),
        ("SERIES", {"ModalitiesInStudy": "MR"}, 7),
        ("IMAGE", {"PatientID": "98890234", "Modality": "MR"}, 17),
    ],
)
def test_a_relational_query_gives_the_table_of_a_drill_down(  # R3.9, R3.10
    real: Any, cache: Cache, level: str, keys: dict[str, str], rows: int
) -> None:
    by_levels = dl.connect(real.address, cache=cache, timeout=15)
    node = replace(Node.of(real.address), quirks=Quirks(relational=True))
    at_once = dl.connect(node, cache=cache, timeout=15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dcmqrscp heeds no key of the levels above at IMAGE level
        slow, fast = by_levels.find(level, **keys), at_once.find(level, **keys)
    assert len(fast) == rows and not slow.attrs["relational"]
    assert fast.attrs["relational"] is ("ModalitiesInStudy" not in keys)
    pd.testing.assert_frame_equal(slow, fast)
    assert fast.attrs["queries"] <= 3 or not fast.attrs["relational"]
