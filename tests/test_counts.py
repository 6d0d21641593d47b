"""A count of one is in the singular: no message says "1 instances"."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support import ROOT

from dicomlab.amounts import are, counted

SEVERAL = re.compile(
    r" (more |other )?(instances|files|studies|series (are|were|have)|patients|matches|rows|entries|items|keys|points"
    r"|positions|lines|values|planes|references|frames|images|texts|numbers|workers|pages)\b"
)
PART = re.compile(r"(of|than|least|most) $")  # "1 of 5 instances", "more than 1 files"
#: That are said only where there are several.
NEVER_ONE = {
    "arranging.py: len(planes) images", "arranging.py: times images", "filming.py: len(images) images",
    "identifier.py: len(values) values", "net/filmbox.py: len(found) images", "net/retrieve.py: len(missing) instances",
    "pixels.py: frames frames", "readers/dose.py: len(offsets) values", "readers/layout.py: frames frames",
    "readers/layout.py: len(place) frames", "readers/parametric.py: len(frames) frames",
    "readers/segmentation.py: file.frames frames", "scanning.py: looked files", "series.py: len(others) other files",
    "suvdecay.py: len(tracers) items", "widgets/priors.py: count studies", "writers/images.py: len(self.planes) planes",
    "net/provenance.py: rows matches", "net/provenance.py: key matches", "decoding.py: rows rows",
    "demo/__main__.py: len(instances) instances",
}  # fmt: skip


def plurals(path: Path) -> set[str]:
    """Counts of a module, each with the plural that follows it whatever it is."""
    found = set()
    for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = text.values if isinstance(text, ast.JoinedStr) else []
        for before, part, after in zip(["", *parts], parts, parts[1:], strict=False):
            if not isinstance(part, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            word = SEVERAL.match(str(after.value))
            limit = isinstance(before, ast.Constant) and PART.search(str(before.value))
            if word and not limit and not isinstance(part.value, ast.Constant):
                found.add(f"{path.relative_to(ROOT / 'dicomlab').as_posix()}: {ast.unparse(part.value)}{word[0]}")
    return found


def test_what_follows_a_count_is_in_the_singular_where_it_is_one() -> None:
    found = set().union(*map(plurals, (ROOT / "dicomlab").rglob("*.py"))) - NEVER_ONE
    assert not found, f"say it by dicomlab.amounts.counted: {sorted(found)}"


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 files are"), (1, "1 file is"), (2, "2 files are"), (1000, "1,000 files are")]
)
def test_one_is_in_the_singular(count: int, words: str) -> None:
    assert counted(count, "file is", "files are") == f"{counted(count, 'file')} {are(count)}" == words
