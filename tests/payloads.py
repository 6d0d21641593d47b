"""Texts that a peer or a file may send to do harm in a page or terminal, and what must not come of them (S1)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from pydicom import Dataset, config

#: Every one is text, and text is what it must stay.
PAYLOADS = (
    "<script>S1()</script>",
    "<img src=x onerror=S1()>",
    '"><svg/onload=S1()>',
    "'><img src=x onerror='S1()'>",
    "</td></tr></table><script>S1()</script>",
    "<svg><script>S1()</script></svg>",
    "<iframe src=javascript:S1()>",
    "<a href='javascript:S1()'>x</a>",
    "javascript:S1()",
    "<details open ontoggle=S1()>",
    "<body onload=S1()>",
    '" onmouseover="S1()" x="',
    "' onfocus='S1()' autofocus x='",
    "<style>@import 'S1'</style>",
    "<base href=//s1/>",
    "<meta http-equiv=refresh content=0;url=//s1>",
    "<object data=S1>",
    "<embed src=S1>",
    "<form action=S1><input>",
    "<math><mtext></mtext><img src=x onerror=S1()>",
    "&lt;img src=x onerror=S1()&gt;<img src=x onerror=S1()>",
    "<!--><img src=x onerror=S1()>-->",
    "{{constructor.constructor('S1()')()}}",
    "$\\undefined$",
    "x$y_$",
    "\\(\\href{S1}{x}\\)",
    "\x1b[2J\x1b[31mS1\x1b]8;;http://s1\x07",
    "DOE\u202eS1\u202c\u2066x\u2069",
    "a\x00b\x07\x08\x7f\x9bS1",
    "S1<img src=x onerror=S1()>" * 400,
)
_RUNS = frozenset(
    [
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "meta",
        "link",
        "body",
        "math",
        "a",
        "video",
        "audio",
        "frame",
        "frameset",
        "applet",
    ]
)
_LEADS = ("href", "src", "action", "data", "formaction", "xlink:href")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        leads = [name for name, value in attrs if name in _LEADS and str(value).startswith("java")]
        wrong = [name for name, _ in attrs if name.startswith("on")] + leads
        if tag in _RUNS or wrong or (tag == "style" and "S1" in (self.get_starttag_text() or "")):
            self.found.append(f"{tag} {wrong}")

    def handle_comment(self, data: str) -> None:
        if "S1" in data:
            self.found.append(f"comment {data}")


def check_page(html: str) -> None:
    """No element, attribute or comment of a payload, and no character that is not seen."""
    page = _Page()
    page.feed(html)
    page.close()
    assert not page.found, page.found
    assert not _UNSEEN.search(html), ascii(html[:2000])


def check_text(text: str) -> None:
    """No control character and no bidi override."""
    assert not _UNSEEN.search(text), ascii(text[:2000])


def plant(dataset: Dataset, payload: str) -> Dataset:
    """The same data set with the payload in every attribute that is text, sequences included."""
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    try:
        _plant(dataset, payload)
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before
    return dataset


def _plant(dataset: Dataset, payload: str) -> None:
    for word in ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "ReferringPhysicianName"):
        setattr(dataset, word, payload)
    if "ROIName" not in dataset:
        dataset.ImageComments = payload
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _inside(item, payload)
        elif element.VR in ("PN", "LO", "SH", "LT", "ST", "UT", "UC") and element.keyword != "CodeValue":
            _set(element, payload)


def _inside(item: Dataset, payload: str) -> None:
    for element in item:
        if element.VR == "SQ":
            for one in element.value:
                _inside(one, payload)
        elif element.VR in ("PN", "LO", "SH", "LT", "ST", "UT", "UC") and element.keyword not in (
            "CodeValue", "CodingSchemeDesignator",
        ):  # fmt: skip
            _set(element, payload)


def _set(element: Any, payload: str) -> None:
    element.value = payload if element.VR in ("LT", "ST", "UT") else payload.replace("\\", "/")
