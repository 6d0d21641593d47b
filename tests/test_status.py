"""The words and classes of DIMSE statuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dicomlab.status import Category, Status


@pytest.mark.parametrize(
    ("code", "service", "category", "words"),
    [
        (0x0000, "C-ECHO", Category.SUCCESS, "success"),
        (0xFF00, "C-FIND", Category.PENDING, "a match, more may follow"),
        (0xFF01, "C-FIND", Category.PENDING, "a match, some optional keys were not supported for it"),
        (0xB001, "C-FIND", Category.WARNING, "end, the peer's limit on responses was reached"),
        (0xA700, "C-FIND", Category.FAILURE, "out of resources"),
        (0xA900, "C-FIND", Category.FAILURE, "identifier does not match SOP class"),
        (0xC123, "C-FIND", Category.FAILURE, "unable to process"),
        (0xFE00, "C-GET", Category.CANCEL, "sub-operations were cancelled"),
        (0xB000, "C-MOVE", Category.WARNING, "sub-operations done, some failed or with warnings"),
        (0xA702, "C-MOVE", Category.FAILURE, "out of resources, unable to perform sub-operations"),
        (0xA801, "C-MOVE", Category.FAILURE, "move destination unknown"),
        (0xB007, "C-STORE", Category.WARNING, "stored, data set does not match SOP class"),
        (0xA7AB, "C-STORE", Category.FAILURE, "out of resources"),
        (0xA9AB, "C-STORE", Category.FAILURE, "data set does not match SOP class"),
        (0xC000, "C-STORE", Category.FAILURE, "cannot understand"),
        (0xB603, "PRINT", Category.WARNING, "film box holds no image boxes (empty page)"),
        (0xC202, "MEDIA", Category.FAILURE, "media creation is in progress and cannot be interrupted"),
        (0x0122, "C-FIND", Category.FAILURE, "SOP class not supported"),
    ],
)
def test_each_service_has_its_own_words(  # SPEC 0.2 and the tables of 3, 5, 6, 9, 10
    code: int, service: str, category: Category, words: str
) -> None:
    status = Status(code, service=service)
    assert (status.category, status.meaning) == (category, words)


def test_an_unknown_code_is_a_failure_and_says_so() -> None:  # R0.2: never a falsy status
    assert Status(0x1234).category is Category.FAILURE
    assert str(Status(0x1234)) == "0x1234 unknown"


def test_the_service_decides_whether_out_of_range_is_a_failure() -> None:  # SPEC 0.2, R8.7, section 11
    assert Status(0x0116, service="MPPS").category is Category.WARNING
    assert Status(0x0116, service="PATIENT").category is Category.FAILURE
    assert Status(0x0116, service="PATIENT").meaning == "item not found"
    assert Status(0x0107).category is Category.FAILURE


def test_the_comment_and_the_offending_elements_are_in_the_words() -> None:  # R0.4
    status = Status(0xA900, "no level\x1b[2J", ("(0008,0052)",), "C-FIND")
    assert str(status) == ("0xA900 identifier does not match SOP class: no level\\x1b[2J [(0008,0052)]")


def test_every_code_has_exactly_one_class() -> None:
    for code in range(0x10000):
        assert Status(code).category in Category


def test_the_words_need_the_standard_library_alone() -> None:
    program = (
        "import sys, types, importlib\n"
        "words = types.ModuleType('words'); words.__path__ = [sys.argv[1]]; sys.modules['words'] = words\n"
        "m = importlib.import_module('words.status')\n"
        "assert not {'pydicom', 'numpy', 'pynetdicom'} & set(sys.modules)\n"
        "print(m.Status(0xA801, service='C-MOVE'))\n"
    )
    import dicomlab.status

    path = str(Path(dicomlab.status.__file__).parent)
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "0xA801 move destination unknown", run.stderr
