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
    "count studies", "file.frames frames", "frames frames", "key matches", "len(found) images", "len(frames) frames",
    "len(images) images", "len(instances) instances", "len(missing) instances", "len(offsets) values",
    "len(others) other files", "len(place) frames", "len(planes) images", "len(self.planes) planes",
    "len(tracers) items", "len(values) values", "looked files", "rows matches", "rows rows", "times images",
}  # fmt: skip


def plurals(path: Path) -> dict[str, str]:
    """Counts of a module, each with the plural that follows it whatever it is, and where they are said."""
    found = {}
    for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = text.values if isinstance(text, ast.JoinedStr) else []
        for before, part, after in zip(["", *parts], parts, parts[1:], strict=False):
            if not isinstance(part, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            word = SEVERAL.match(str(after.value))
            limit = isinstance(before, ast.Constant) and PART.search(str(before.value))
            if word and not limit and not isinstance(part.value, ast.Constant):
                found[f"{ast.unparse(part.value)}{word[0]}"] = f"{path.relative_to(ROOT)}:{part.lineno}"
    return found


def test_what_follows_a_count_is_in_the_singular_where_it_is_one() -> None:
    found = {
        said: where
        for path in (ROOT / "dicomlab").rglob("*.py")
        for said, where in plurals(path).items()
        if said not in NEVER_ONE
    }
    assert not found, "say it by dicomlab.amounts.counted"


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 files are"), (1, "1 file is"), (2, "2 files are"), (1000, "1,000 files are")]
)
def test_one_is_in_the_singular(count: int, words: str) -> None:
    assert counted(count, "file is", "files are") == f"{counted(count, 'file')} {are(count)}" == words
