"""What `make growth` measures and says: small here, in full when it is asked for (PERFORMANCE row P10)."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
sys.path.insert(0, str(ROOT))


def steps(count: int, each: float, megabytes: float = 10.0) -> dict[str, Any]:
    """A job of `each` microseconds for an instance."""
    seconds = [count * part / 100 * each / 1e6 for part in range(1, 101)]
    done = [(count * (part + 1) // 100, cpu, 1.0, 1000, cpu / 4) for part, cpu in enumerate(seconds)]
    most = int(megabytes * 1e6 / 1024) + 1000
    return {
        "count": count,
        "steps": done,
        "cpu": count * each / 1e6,
        "wall": 1,
        "before": 1000,
        "after": 1000,
        "most": most,
    }


def told(**others: list[dict[str, Any]]) -> dict[str, Any]:
    from benchmarks import growthpage

    sizes = (10_000, 25_000, 50_000, 100_000)
    jobs = {name: [steps(size, 100) for size in sizes] for name in [*growthpage.NAMES, "load"]} | others
    return {"when": "today", "system": "Linux", "cpus": 2, "load": 0.5, "jobs": jobs}


def test_time_is_judged_by_its_distance_from_the_median_and_memory_by_its_room() -> None:
    from benchmarks import growthpage

    assert "SHORT" not in growthpage.verdicts(told())
    grows = [steps(size, each) for size, each in ((10_000, 80), (25_000, 90), (50_000, 110), (100_000, 125))]
    said = growthpage.verdicts(told(scan=grows, index=[steps(1000, 5, 151)] * 4)).splitlines()
    assert [line.split(":")[0] for line in said if "SHORT" in line] == ["index", "scan"]
    assert "25% from the median at most (SHORT), memory +10 MB (reached)" in said[3]
    assert "0% from the median at most (reached), memory +151 MB (SHORT)" in said[2]


def test_a_retrieval_that_slows_down_on_its_way_is_short_of_the_mark() -> None:
    from benchmarks import growthpage

    late = steps(100_000, 100)
    late["steps"] = [(done, cpu + max(0, done - 80_000) * 30e-6, *rest) for done, cpu, *rest in late["steps"]]
    assert [round(each) for each in growthpage.tenths(late)] == [100] * 8 + [130] * 2
    assert "30% from the median at most (SHORT)" in growthpage.verdicts(told(retrieve=[late] * 4)).splitlines()[0]


def test_the_share_of_the_system_is_told_by_tenths() -> None:
    from benchmarks import growthpage

    assert [round(value) for value in growthpage.systems(steps(1000, 100))] == [25] * 10


def test_the_page_and_its_pictures_are_made(tmp_path: Path) -> None:
    from benchmarks import growthpage

    growthpage.write(told(), tmp_path / "growth.md")
    page = (tmp_path / "growth.md").read_text(encoding="utf-8")
    assert "| scanned | 100 | 100 | 100 | 100 | 0% | reached |" in page
    for theme in ("light", "dark"):
        assert f"growth-{theme}.png" in page
        assert (tmp_path / f"growth-{theme}.png").read_bytes().startswith(b"\x89PNG")


def test_each_instance_is_a_dicom_file_with_uids_of_its_own() -> None:
    from benchmarks import many

    made = pydicom.dcmread(BytesIO(many.instance(12, 34)))
    assert (made.SOPInstanceUID, made.SeriesInstanceUID) == (many.instance_uid(12, 34), many.series_uid(12))
    assert (made.InstanceNumber, made.ImagePositionPatient[2], many.numbers(made.SOPInstanceUID)) == (35, -34, (12, 34))
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID and made.pixel_array.shape == (32, 32)


@pytest.mark.timeout(400)
def test_every_job_is_measured_on_real_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import growth

    monkeypatch.setenv("DICOMLAB_BENCHMARKS", str(tmp_path))
    monkeypatch.setattr(growth, "PARTS", (1.0,))
    monkeypatch.setattr(growth, "LENGTHS", (300,))
    monkeypatch.setattr(growth, "LIMIT", 90.0)
    found = growth.measure(400, lambda line: None)
    assert {name: one.count for name, (one,) in found.items()} == {
        "retrieve": 400, "again": 400, "index": 400, "scan": 400, "rescan": 400, "load": 300,
    }  # fmt: skip
    (retrieve,) = found["retrieve"]
    assert [step[0] for step in retrieve.steps] == list(range(4, 401, 4))
    assert all(one.cpu > 0 and 0 < one.before <= one.most for (one,) in found.values())
    assert list((tmp_path / "scratch").iterdir()) == []
