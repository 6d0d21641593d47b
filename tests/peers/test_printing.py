"""Printing with DCMTK's dcmprscp, as others have seen it answer, and the demo PACS in its manners (SPEC 9)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.errors import NoAcceptedContext, ResultWarning, StatusError

WINDOW = (127.5, 255)
PICTURE = np.random.default_rng(7).integers(0, 256, (64, 64), np.uint8)
FILM = {
    "NumberOfCopies": 1, "MediumType": "BLUE FILM", "FilmDestination": "MAGAZINE", "FilmOrientation": "PORTRAIT",
    "FilmSizeID": "8INX10IN", "MagnificationType": "CUBIC",
}  # fmt: skip


@pytest.fixture(params=["dcmprscp", "demo"])
def prints(request: pytest.FixtureRequest) -> Iterator[tuple[dl.Peer, Any]]:
    """A peer that may print, and what gives the pixels that it has printed since."""
    if request.param == "demo":
        with (
            DemoServer(Holdings(), ae_title="IHEFULL", manners=Manners.dcmprscp()) as server,
            dl.connect(server.address, allow="print") as peer,
        ):
            yield peer, lambda: [film.pixels(at) for film in server.films for at in film.images]
        return
    prn = request.getfixturevalue("prn")
    folder, before = prn.folder / "database", set((prn.folder / "database").glob("??_*"))

    def since(kind: str) -> list[Path]:
        return sorted(set(folder.glob(f"{kind}_*")) - before, key=lambda path: path.stat().st_mtime_ns)

    with dl.connect(prn.address, allow="print") as peer:
        yield peer, lambda: [dcmread(path).pixel_array for path in since("HG")] if since("SP") else []


def test_it_takes_grey_and_presentation_luts_and_refuses_the_rest(prints):  # R9.2, R9.8
    peer, _ = prints
    assert [name for name, taken in peer.printer().classes.items() if taken] == ["grayscale", "presentation LUT"]
    with pytest.raises(NoAcceptedContext, match=r"no colour prints .*, it takes grayscale ones") as caught:
        peer.print(np.zeros((4, 4, 3), np.uint8))
    assert caught.value.result == 3
    with pytest.raises(NoAcceptedContext, match="Printer Configuration") as caught:
        peer.printer(configuration=True)
    assert caught.value.result == 3
    assert peer.print(PICTURE, window=WINDOW).unavailable == ("annotation", "print job", "printer configuration",
                                                              "image overlay")  # fmt: skip


def test_its_status_is_known_and_nothing_else_of_it(prints):  # R9.5
    peer, _ = prints
    found = peer.printer("PrinterName")
    assert (found.status, found.info) == ("NORMAL", "NORMAL")
    assert found.unknown["PrinterName"].startswith("0x0105")


def test_one_image_is_printed_and_its_pixels_are_those_that_were_sent(prints):  # R9.1, R9.3, R9.7
    peer, printed = prints
    of_session = {name: FILM[name] for name in ("NumberOfCopies", "MediumType", "FilmDestination")}
    with peer.print_session(**of_session) as one:
        page = one.film_box(r"STANDARD\1,1", FilmOrientation="PORTRAIT", FilmSizeID="8INX10IN",
                            MagnificationType="CUBIC")  # fmt: skip
        assert page.status.code == 0 and len(page.image_boxes) == 1
        assert page.set(1, dl.film(PICTURE, window=WINDOW).images[0]).code == 0
        assert page.print()[0].code == 0
        page.delete()
    assert one.remarks == []  # and so the deletes were 0x0000 too
    (pixels,) = printed()
    assert np.array_equal(pixels, PICTURE)


def test_one_call_does_the_same(prints):  # R9.1
    peer, printed = prints
    result = peer.print(PICTURE, "1x1", window=WINDOW, **FILM)
    assert result.pages.status.tolist() == [0] and result.pages.printed.tolist() == [True] and result.remarks == ()
    assert np.array_equal(printed()[0], PICTURE)


def test_each_image_is_at_its_place(prints):  # R9.3
    peer, printed = prints
    volume = np.arange(5, dtype=np.uint8)[:, None, None] * np.full((5, 8, 8), 40, np.uint8)
    assert peer.print(volume, "2x2", window=WINDOW).pages.printed.tolist() == [True, True]
    assert sorted(int(one[0, 0]) for one in printed()) == [0, 40, 80, 120, 160]


@pytest.mark.parametrize("lut", [None, "IDENTITY", "LIN OD", list(range(0, 65_536, 16))])
def test_12_bits_are_printed_with_and_without_a_presentation_lut(prints, lut):  # R9.1, R9.4
    peer, printed = prints
    values = np.arange(4096).reshape(64, 64)
    result = peer.print(values, bits=12, window=(2047.5, 4095), presentation_lut=lut)
    assert result.pages.printed.tolist() == [True] and np.array_equal(printed()[0], values)


def test_monochrome1_is_printed(prints):  # R9.4
    peer, printed = prints
    peer.print(PICTURE, window=WINDOW, photometric="MONOCHROME1")
    assert np.array_equal(printed()[0], 255 - PICTURE)


def test_our_ae_title_is_the_owner_of_a_session(prints):
    peer, _ = prints
    owners = []
    peer.hooks.add("after N-CREATE-RSP", lambda event: owners.append((event.dataset() or {}).get("OwnerID")))
    with peer.print_session():
        pass
    assert owners == ["DICOMLAB"]


def test_a_page_without_images_is_0xB603_which_means_that_nothing_was_printed(prints):  # R9.9
    peer, printed = prints
    with peer.print_session() as session:
        page = session.film_box("1x1")
        status, _ = page.print()
    assert status.code == 0xB603 and "empty page" in str(status) and "0xB603" in session.remarks[0]
    assert not printed()


def test_a_page_whose_image_box_was_refused_is_empty(prints):  # R9.3, R9.9
    peer, printed = prints
    with peer.print_session() as session:
        page = session.film_box("1x1")
        (one,) = dl.film(PICTURE, window=WINDOW).images
        with pytest.raises(StatusError, match="N-SET of the image box was refused"):
            page.set(1, replace(one, photometric="HSV"))
        assert page.print()[0].code == 0xB603
    assert not printed()


def test_a_layout_that_it_has_not_is_refused_with_what_was_asked_for(prn):  # R9.9
    with dl.connect(prn.address, allow="print") as peer:
        with pytest.raises(StatusError, match=r"N-CREATE of the film box was refused: 0x0106.*STANDARD.7,7") as caught:
            peer.print(PICTURE, "7x7")
        assert caught.value.rows.printed.tolist() == [False]


def test_a_volume_of_phantoms_goes_through_the_real_printer(prn):
    with dl.demo_pacs() as pacs, dl.connect(prn.address, allow="print") as peer:
        volume = dl.load(pacs.retrieve(pacs.find("SERIES", SeriesDescription="thorax 3 mm")))
        film = dl.film(volume, "3x4", every=4, window="soft tissue", **FILM)
        before = set((prn.folder / "database").glob("HG_*"))
        result = peer.print(film, presentation_lut="IDENTITY")
        assert result.pages.printed.tolist() == [True] and len(result.images) == 12
        printed = [dcmread(path).pixel_array for path in set((prn.folder / "database").glob("HG_*")) - before]
    wanted = sorted(one.pixels.tobytes() for one in film.images)
    assert sorted(one.tobytes() for one in printed) == wanted


@pytest.mark.parametrize("name", ["qr", "orthanc", "store3"])
def test_an_archive_is_no_printer_and_says_so_within_two_seconds(name, request):  # R9.2
    archive = request.getfixturevalue(name)
    with dl.connect(archive.address, allow="print") as peer:
        for ask in (lambda: peer.print(PICTURE), peer.printer):
            began = time.monotonic()
            with pytest.raises(NoAcceptedContext, match="not supported by this peer") as caught:
                ask()
            assert time.monotonic() - began < 2 and caught.value.result == 3


def test_what_it_warns_of_is_a_warning_of_ours(prn):  # R9.9
    said = "printed without annotation"
    with dl.connect(prn.address, allow="print") as peer, pytest.warns(ResultWarning, match=said):
        peer.print(PICTURE, window=WINDOW, annotation="ward 3", AnnotationDisplayFormatID="1", unavailable="skip")
