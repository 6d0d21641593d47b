"""Who may read what is written: your files follow the umask, as those of every tool do; a copy of a cache does not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slices

import dicomlab as dl

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
RIGHTS = {0o022: (0o644, 0o755), 0o027: (0o640, 0o750), 0o077: (0o600, 0o700)}  # of files and of folders


@pytest.fixture(params=RIGHTS, ids=oct)
def umask(request: Any) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> tuple[set[int], set[int]]:
    """Of all files and of all folders."""
    found = [folder, *folder.rglob("*")]
    assert any(path.is_file() for path in found)
    files, folders = (
        {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir() == kind} for kind in (False, True)
    )
    return files, folders


def test_what_you_write_follows_the_umask(umask: int, tmp_path: Path) -> None:
    study = {"StudyDate": "20240101", "StudyTime": "120000", "StudyID": "1"}
    source = slices.write(tmp_path / "source", slices.stack([0, 2], **study))
    volume = dl.load(source)
    out = tmp_path / "out"
    dl.write(volume, out / "series", like=source, units="HU")
    dl.write(source, out / "set" / "DICOMDIR")
    dl.write(source, out / "packed.zip")
    dl.modify(source, out / "modified", PatientID="0042")
    dl.pseudonymise(source, out / "pseudonymous", map={})
    assert modes(out) == ({RIGHTS[umask][0]}, {RIGHTS[umask][1]})


def test_what_is_copied_of_a_cache_is_for_you_alone_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    with dl.demo_pacs() as pacs:
        rows = pacs.retrieve(pacs.find("SERIES", Modality="PT").head(1))
        pacs.cache.export(rows, tmp_path / "copies")
    assert modes(tmp_path / "copies") == ({0o600}, {0o700})
