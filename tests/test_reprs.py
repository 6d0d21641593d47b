"""What stands in a notebook says what it is, how big it is and what is missing, and peer text in it is text."""

from __future__ import annotations

import doctest
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
import slices

import dicomlab as dl
import dicomlab.volumes.glance
from dicomlab.errors import ResultWarning


def cells(html: str) -> dict[str, str]:
    """The first two cells of each row of a table."""
    found = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>", html)
    return {unescape(name): unescape(re.sub("<.*?>", "", text)) for name, text in found}


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(html)

    def handle_starttag(self, name, attributes):
        self.seen.add(name)


def test_a_volume_says_its_size_axes_units_and_spacing(tmp_path):
    volume = dl.load(slices.write(tmp_path, slices.stack([0, 2, 4], rows=8, columns=6)))
    said = cells(volume.dicom._repr_html_())
    assert said["size"] == "3 x 8 x 6 (z, y, x), int16, 288 bytes" and said["units"] == "HU"
    assert said["spacing"] == "2 x 0.5 x 0.25 mm" and said["axes"].startswith("z I to S") and "missing" not in said
    for name, text in said.items():
        assert f"{name} {text}" in repr(volume.dicom)


def test_a_volume_with_a_gap_without_units_or_without_a_place_says_what_is_missing(tmp_path):
    with pytest.warns(ResultWarning, match="missing"):
        gap = dl.load(slices.write(tmp_path / "a", slices.stack([0, 2, 4, 10])))
    assert "2 planes missing" in cells(gap.dicom._repr_html_())["missing"] and "2 planes missing" in repr(gap.dicom)
    gap.attrs["units"] = ""
    assert cells(gap.dicom._repr_html_())["missing"].startswith("units; ")
    whole = dl.load(slices.write(tmp_path / "b", slices.stack([0, 2])))
    assert "no geometry" in cells(whole.drop_vars("geometry").dicom._repr_html_())["missing"]
    assert "missing" not in repr(whole.dicom)


def test_a_peer_and_a_node_say_who_they_are_and_what_is_not_set_up():
    peer = dl.connect("ARCHIVE@localhost:11112")
    said = cells(peer._repr_html_())
    assert said["address"] == "ARCHIVE@localhost:11112" and said["we are"] == "DICOMLAB"
    assert "only read" in said["we may"] and said["TLS"] == "none" and "not set up" in said["C-MOVE"]
    assert "nothing was asked yet" in said["implementation"] and said["now"] == "nothing runs"
    assert cells(peer.node._repr_html_())["C-MOVE"] == said["C-MOVE"]
    with dl.demo_pacs() as pacs:
        pacs.echo()
        said = cells(pacs._repr_html_())
        assert "DICOMLAB" in said["C-MOVE"] and "store" in said["we may"] and "not known" not in said["implementation"]
        assert "closed" not in repr(pacs)
    assert cells(pacs._repr_html_())["now"] == "closed"
    assert repr(pacs).endswith(", closed)")


def test_a_log_says_that_it_is_closed(tmp_path):
    with dl.connect("ARCHIVE@localhost:11112") as peer:
        for begun in (peer.log_to, peer.dump_to):
            with begun(tmp_path / f"{begun.__name__}.log") as log:
                assert ", 0 entries>" in repr(log)
            assert repr(log).endswith(", 0 entries, closed>")


def test_the_named_nodes_are_a_table():
    book = dl.nodes()
    assert "no nodes yet" in book._repr_html_() and "no nodes yet" in repr(book)
    book.add("research", dl.Node("RESEARCH", "10.0.0.5", 104, allow=("store",)))
    html = book._repr_html_()
    assert "RESEARCH@10.0.0.5:104" in html and "<td>store</td>" in html and "nodes.toml" in html


def test_markup_in_what_a_peer_or_a_file_says_is_text(tmp_path):  # R15.9
    markup = "<img src=x onerror=alert(1)>"
    book = dl.nodes()
    book.add(markup, dl.Node("<b>", "localhost", 104))
    peer = dl.connect(replace(book[markup], calling="<i>x"))
    volume = dl.load(slices.write(tmp_path, slices.stack([0, 2], SeriesDescription=markup)))
    volume.attrs["units"] = markup
    for thing in (book, book[markup], peer, volume.dicom):
        html = thing._repr_html_()
        assert Elements(html).seen <= {"table", "caption", "tr", "th", "td", "tbody", "span"}
        assert "&lt;" in html


def test_the_examples_run():
    failed, attempted = doctest.testmod(dicomlab.volumes.glance)
    assert attempted and not failed
