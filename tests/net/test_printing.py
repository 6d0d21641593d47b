"""Printing on the demo PACS, which keeps what it is sent: in one call and step by step (SPEC 9).

Colour, annotation, print jobs, configuration and events have no open peer; grey is tested with DCMTK's too
(tests/peers/test_printing.py).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from normalizedfaults import FAULTS, Answer, Asked, honest, meet
from pydicom import Dataset
from pydicom.uid import generate_uid

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.errors import Interrupted, InvalidRequest, NoAcceptedContext, ProtocolError, ResultWarning, StatusError
from dicomlab.status import Category, Status

GREY, COLOUR = (f"1.2.840.10008.5.1.1.{end}" for end in ("9", "18"))
SESSION, BOX, IMAGE, PRINTER, JOB, LUT = (f"1.2.840.10008.5.1.1.{end}" for end in ("1", "2", "4", "16", "14", "23"))
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
WINDOW = (127.5, 255)


@contextmanager
def printing(**manners: Any) -> Iterator[tuple[dl.Peer, DemoServer]]:
    """A peer that may print, and its printer."""
    with (
        DemoServer(Holdings(), manners=Manners(**manners)) as server,
        dl.connect(server.address, allow="print", timeout=10) as peer,
    ):
        yield peer, server


def dimse(server: DemoServer) -> list[str]:
    """The DIMSE-N requests that came, each with the class that it was for."""
    names = {SESSION: "session", BOX: "box", IMAGE: "image", IMAGE + ".1": "image", PRINTER: "printer", LUT: "LUT"}
    return [f"{one.service} {names.get(one.sop_class, one.sop_class)}" for one in server.transcript if "-" in
            one.service and one.service != "A-ASSOCIATE"]  # fmt: skip


def eventually(found: Any) -> bool:
    """Whether that becomes true within some seconds."""
    end = time.monotonic() + 10
    while not found() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(found())


# -- in one call -----------------------------------------------------------------------------------------------------


def test_a_print_is_session_box_images_action_and_both_deletes():  # R9.1, R9.7
    with printing() as (peer, server):
        result = peer.print([RAMP, 255 - RAMP], "2x1", window=WINDOW, NumberOfCopies=2, FilmSizeID="A4")
    assert dimse(server) == [
        "N-GET printer", "N-CREATE session", "N-CREATE box", "N-SET image", "N-SET image", "N-ACTION box",
        "N-DELETE box", "N-DELETE session",
    ]  # fmt: skip
    (film,) = server.films
    assert np.array_equal(film.pixels(1), RAMP) and np.array_equal(film.pixels(2), 255 - RAMP)
    assert film.copies == 2 and film.box.FilmSizeID == "A4" and film.box.ImageDisplayFormat == r"STANDARD\2,1"
    assert result.pages.printed.tolist() == [True] and result.pages.status.tolist() == [0]
    assert result.images.status.tolist() == [0, 0] and result.printer.status == "NORMAL"


def test_all_messages_of_a_meta_class_go_on_its_context():  # R9.2
    with printing() as (peer, server):
        peer.print(np.zeros((4, 4)), window=WINDOW)
        peer.print(np.zeros((4, 4, 3), np.uint8), presentation_lut="IDENTITY")
    # the server answers 0x0118 to a class on another context, and keeps apart what came in grey and in colour
    assert [film.colour for film in server.films] == [False, True]
    assert [one.identifier.PresentationLUTShape for one in server.transcript if one.sop_class == LUT and
            one.service == "N-CREATE"] == ["IDENTITY"]  # fmt: skip


def test_a_volume_fills_its_pages_in_order(tmp_path):  # R9.3
    values = np.arange(7.0)[:, None, None] * 10 * np.ones((7, 4, 4))
    with printing() as (peer, server):
        result = peer.print(values, "2x2", window=WINDOW)
    assert [[int(film.pixels(at)[0, 0]) for at in film.images] for film in server.films] == [[0, 10, 20, 30],
                                                                                            [40, 50, 60]]  # fmt: skip
    assert result.pages[["page", "images"]].values.tolist() == [[1, 4], [2, 3]]
    assert result.images.position.tolist() == [1, 2, 3, 4, 1, 2, 3]
    assert dimse(server).count("N-DELETE box") == 2 and dimse(server).count("N-CREATE session") == 1


def test_12_bits_monochrome1_and_colour_come_out_as_they_were_rendered():  # R9.4
    with printing() as (peer, server):
        peer.print(RAMP, bits=12, window=WINDOW, photometric="MONOCHROME1")
        (item,) = server.films[0].images[1].BasicGrayscaleImageSequence
        assert (item.BitsAllocated, item.BitsStored, item.PhotometricInterpretation) == (16, 12, "MONOCHROME1")
        assert np.array_equal(server.films[0].pixels(1), np.round(4095 - RAMP * (4095 / 255)).astype(np.uint16))
        colour = np.random.default_rng(3).integers(0, 256, (5, 7, 3), np.uint8)
        peer.print(colour)
        assert np.array_equal(server.films[1].pixels(1), colour)


def test_pixels_that_are_not_square_are_told(tmp_path):  # R9.4
    import slices

    paths = slices.write(tmp_path, slices.stack([0.0, 5.0]))
    with printing() as (peer, server):
        peer.print(paths)
    (item,) = server.films[0].images[1].BasicGrayscaleImageSequence
    assert item.PixelAspectRatio == [2, 1]  # 0.5 mm by 0.25 mm


def test_what_was_clipped_and_changed_is_in_the_result():  # R9.4
    with printing() as (peer, _):
        result = peer.print(np.full((8, 8, 3), 9, np.uint8), colour=False, largest=4)
        said = repr(peer.print(RAMP, window=(100, 50)))
    assert result.images.changed[0] == "scaled from 8 x 8 to 4 x 4, colour to grey"
    assert "values outside the window in 1 of 1 images" in said


def test_a_film_that_was_looked_at_is_what_is_printed():
    film = dl.film(RAMP, "1x1", window=WINDOW, Polarity="REVERSE")
    with printing() as (peer, server):
        peer.print(film)
        with pytest.raises(InvalidRequest, match=r"made already, without layout, window"):
            peer.print(film, "2x2", window=WINDOW)
    assert server.films[0].images[1].Polarity == "REVERSE" and len(server.films) == 1


def test_a_node_that_may_not_print_is_asked_for_nothing():
    with DemoServer(Holdings()) as server, dl.connect(server.address) as peer:
        with pytest.raises(InvalidRequest, match="print"):
            peer.print(RAMP)
        with pytest.raises(InvalidRequest, match="print"):
            peer.print_session()
        assert peer.printer().status == "NORMAL"
        assert [one.service for one in server.transcript if one.service != "N-GET"] == ["A-ASSOCIATE"]


def test_nothing_is_sent_where_nothing_is_selected():
    with printing() as (peer, server):
        for nothing in ([], np.zeros((0, 4, 4))):
            with pytest.raises(InvalidRequest, match="nothing is selected"):
                peer.print(nothing)
        with pytest.raises(InvalidRequest, match='"raise" or "skip"'):
            peer.print(RAMP, unavailable="no")
    assert not server.transcript


# -- what the printer takes ------------------------------------------------------------------------------------------


def test_a_printer_without_colour_is_told_with_what_it_takes():  # R9.2
    with printing(print_classes=frozenset(["grayscale"])) as (peer, server):
        with pytest.raises(NoAcceptedContext, match=r"no colour prints .*, it takes grayscale ones.*colour=False") as e:
            peer.print(np.zeros((4, 4, 3), np.uint8))
        assert e.value.abstract_syntax == COLOUR and e.value.result == 3
        peer.print(np.full((4, 4, 3), 7, np.uint8), colour=False)
        assert set(server.films[0].pixels(1).ravel()) == {7}


def test_a_printer_of_colour_alone_is_told_with_what_it_takes():  # R9.2
    with printing(print_classes=frozenset(["colour"])) as (peer, server):
        with pytest.raises(NoAcceptedContext, match=r"no grayscale prints .*, it takes colour ones.*colour=True"):
            peer.print(RAMP, window=WINDOW)
        peer.print(RAMP, window=WINDOW, colour=True)
        assert np.array_equal(server.films[0].pixels(1), np.repeat(RAMP[..., None], 3, -1))
        assert peer.printer().classes["grayscale"] is False


@pytest.mark.parametrize("asked", ["print", "print_session", "printer"])
def test_a_peer_that_is_no_printer_says_so_at_once(asked):  # R9.2
    with DemoServer(Holdings(), manners=Manners.orthanc()) as server, dl.connect(server.address, allow="print") as peer:
        began = time.monotonic()
        with pytest.raises(NoAcceptedContext, match="not supported by this peer"):
            if asked == "print":
                peer.print(RAMP)
            elif asked == "printer":
                peer.printer()
            else:
                with peer.print_session():
                    pass
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("annotation", {"annotation": "ward 3", "AnnotationDisplayFormatID": "1"}),
        ("presentation LUT", {"presentation_lut": "IDENTITY"}),
    ],
)
def test_what_is_wanted_and_refused_raises_or_is_skipped_if_asked_to(name, choices):  # R9.8
    taken = Manners().print_classes - {name}
    with printing(print_classes=taken) as (peer, server):
        with pytest.raises(NoAcceptedContext) as caught:
            peer.print(RAMP, **choices)
        assert caught.value.result == 3 and dimse(server)[-1] == "N-DELETE session" and not server.films
        with pytest.warns(ResultWarning, match=f"printed without {name}: this printer has none"):
            result = peer.print(RAMP, unavailable="skip", **choices)
        assert name in result.unavailable and result.pages.printed.tolist() == [True] and len(server.films) == 1


def test_what_a_printer_has_not_is_reported_and_nothing_that_was_asked_for():  # R9.8
    with printing(print_classes=frozenset(["grayscale"])) as (peer, _):
        result = peer.print(RAMP)
    assert result.unavailable == ("annotation", "presentation LUT", "print job", "printer configuration",
                                  "image overlay")  # fmt: skip
    assert result.remarks == () and "unavailable" in repr(result)


def test_annotation_and_presentation_lut_arrive():  # R9.1, R9.8
    table = (np.arange(256) ** 2).tolist()
    with printing() as (peer, server):
        peer.print(RAMP, annotation=["ward 3", "copy"], AnnotationDisplayFormatID="2", presentation_lut="LIN OD")
        peer.print(RAMP, presentation_lut=table)
        with pytest.raises(InvalidRequest, match="the printer made 1 annotation boxes"):
            peer.print(RAMP, annotation=["ward 3", "copy"], AnnotationDisplayFormatID="1")
    first, second = server.films
    assert first.annotations == ["ward 3", "copy"] and first.lut is not None
    assert first.lut.PresentationLUTShape == "LIN OD" and second.lut is not None
    (item,) = second.lut.PresentationLUTSequence
    assert np.frombuffer(item.LUTData, "<u2").tolist() == table and list(item.LUTDescriptor) == [256, 0, 16]
    assert dimse(server).count("N-CREATE LUT") == dimse(server).count("N-DELETE LUT") == 2


# -- status and events -----------------------------------------------------------------------------------------------


def test_the_printer_is_asked_for_its_status_and_for_the_rest_one_by_one():  # R9.5
    with printing() as (peer, server):
        found = peer.printer("DateOfLastCalibration", configuration=True)
        with pytest.raises(InvalidRequest, match="PrinterNmae"):
            peer.printer("PrinterNmae")
    asked = [one.attributes for one in server.requests("N-GET")]
    assert asked[0] == (0x21100010, 0x21100020) and all(len(tags) == 1 for tags in asked[1:])
    assert found.attributes["PrinterName"] == "DEMO" and found.unknown["DateOfLastCalibration"].startswith("0x0105")
    assert found.configuration[0].FilmSizeID == "14INX17IN" and found.classes["print job"]


def test_a_printer_without_configuration_says_so():  # R9.8
    with (
        printing(print_classes=frozenset(["grayscale"])) as (peer, _),
        pytest.raises(NoAcceptedContext, match="Printer Configuration"),
    ):
        peer.printer(configuration=True)


@pytest.mark.parametrize(("event", "word"), [(1, "NORMAL"), (2, "WARNING"), (3, "FAILURE")])
@pytest.mark.parametrize("step", ["N-CREATE film session", "N-SET image box", "N-ACTION film box", "N-DELETE film box"])
def test_an_event_of_the_printer_is_answered_shown_and_logged_whenever_it_comes(step, event, word):  # R9.6
    told, lines = [], []
    with printing(print_events={step: ((event, "SUPPLY LOW"),)}) as (peer, server):
        with peer.log_to(lines.append), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = peer.print(RAMP, on_event=told.append)
        assert eventually(lambda: len(server.event_answers) == 4)  # and three of the job
    assert server.event_answers == [0, 0, 0, 0] and result.pages.printed.tolist() == [True]
    shown = result.events[result.events.source == "printer"]
    assert shown[["event", "info"]].values.tolist() == [[word, "SUPPLY LOW"]]
    assert [one.event for one in told if one.source == "printer"] == [word]
    assert [line["event"] for line in lines if line.get("service") == "N-EVENT-REPORT"].count(event) >= 1
    said = [str(one.message) for one in caught]
    assert bool(said) == (event > 1) and all(f"the printer says {word}: SUPPLY LOW" in one for one in said)


def test_a_printer_that_is_not_well_is_told():  # R9.5
    sick = {"PrinterStatus": "FAILURE", "PrinterStatusInfo": "FILM JAM"}
    with (
        printing(print_printer=sick) as (peer, _),
        pytest.warns(ResultWarning, match="the printer says FAILURE, FILM JAM"),
    ):
        result = peer.print(RAMP)
    assert result.printer.info == "FILM JAM"


def test_a_print_job_is_waited_for_until_it_is_done():  # R9.6
    with printing(print_pace=0.2) as (peer, server):
        result = peer.print([RAMP, RAMP], "1x1", wait=30)
    assert result.pages.job_status.tolist() == ["DONE", "DONE"] and result.pages.job.nunique() == 2
    assert result.events.event.tolist().count("DONE") == 2 and server.event_answers == [0] * 6
    assert server.requests("N-GET")[-1].sop_class == PRINTER  # a job that told its end is not asked for


def test_a_print_job_that_fails_is_a_film_that_was_not_printed():  # R9.6
    with (
        printing(print_job=(1, 2, 4), print_job_info="NO SUPPLY MGZ") as (peer, _),
        pytest.warns(ResultWarning, match="FAILURE: NO SUPPLY MGZ; film 1 was not printed: its print job failed"),
    ):
        result = peer.print(RAMP, wait=30)
    assert result.pages.printed.tolist() == [False] and result.pages.job_status.tolist() == ["FAILURE"]


def test_a_print_job_without_an_end_is_waited_for_so_long_and_asked_for_once():  # R9.6
    with printing(print_job=(1, 2)) as (peer, server):
        began = time.monotonic()
        with pytest.warns(ResultWarning, match="its print job has not ended, the last that is known is PRINTING"):
            result = peer.print(RAMP, wait=0.5)
        assert 0.5 <= time.monotonic() - began < 8
    assert result.pages.printed.isna().tolist() == [True] and "of 1 it is not known" in repr(result)
    assert [one.sop_class for one in server.requests("N-GET")].count(JOB) == 1
    with printing(print_job=()) as (peer, _), pytest.warns(ResultWarning, match="the last that is known is PENDING"):
        peer.print(RAMP, wait=0)


def test_a_print_job_whose_end_is_found_by_asking_counts():  # R9.6
    with printing(print_job=(1, 2, 3), print_pace=0.3) as (peer, _), peer.print_session() as session:
        page = session.film_box()
        page.set(1, RAMP)
        status, job = page.print()
        assert job and session.wait(20, [job]) and session.job_status(job) == "DONE"
        assert [one.event for one in session.events] == ["PENDING", "PRINTING", "DONE"]
        assert session.job_status("1.2.3") == "" and "0x0112" in session.remarks[-1]
    assert status.code == 0


# -- warnings and failures -------------------------------------------------------------------------------------------

WARNINGS = {
    "N-CREATE film session": (0xB600,),
    "N-CREATE film box": (0xB605, 0x0107, 0x0116),
    "N-SET image box": (0xB604, 0xB605, 0xB609, 0xB60A),
    "N-ACTION film box": (0xB603,),
    "N-DELETE film box": (0xB601,),
}
FAILURES = {
    "N-GET printer": (0x0110,),
    "N-CREATE film session": (0x0106, 0x0110),
    "N-CREATE film box": (0xC616, 0x0106, 0x0213),
    "N-SET image box": (0xC603, 0xC605, 0xC613, 0x0106),
    "N-ACTION film box": (0xC601, 0xC602, 0xC603, 0xC613),
}


@pytest.mark.parametrize(("step", "code"), [(step, code) for step, codes in WARNINGS.items() for code in codes])
def test_a_warning_reaches_the_result_in_words(step, code):  # R9.9
    with (
        printing(print_statuses={step: code}) as (peer, server),
        pytest.warns(ResultWarning, match=f"{step.split()[0]} of the .*0x{code:04X}") as caught,
    ):
        result = peer.print(RAMP)
    assert str(Status(code, service="PRINT")) in str(caught[0].message) and Status(code, service="PRINT").category is (
        Category.WARNING
    )
    assert any(f"0x{code:04X}" in one for one in result.remarks) and dimse(server)[-1] == "N-DELETE session"
    if step == "N-SET image box":
        assert result.images.status.tolist() == [code]


@pytest.mark.parametrize("code", [0xB602, 0xB603])
def test_an_empty_page_means_that_nothing_was_printed(code):  # R9.9
    with (
        printing(print_statuses={"N-ACTION film box": code}) as (peer, _),
        pytest.warns(ResultWarning, match="nothing was printed of film 1"),
    ):
        result = peer.print(RAMP)
    assert result.pages.printed.tolist() == [False] and "nothing was printed" in result.pages.meaning[0]
    assert "0 of 1 film" in repr(result)


@pytest.mark.parametrize(("step", "code"), [(step, code) for step, codes in FAILURES.items() for code in codes])
def test_a_failure_raises_and_what_was_made_is_deleted(step, code):  # R9.7, R9.9
    with printing(print_statuses={step: code}) as (peer, server):
        with pytest.raises(StatusError) as caught:
            peer.print([RAMP, RAMP], "2x1")
        error = caught.value
        assert error.status.code == code and step.split()[0] in str(error) and error.advice
        assert error.rows.printed.fillna(True).tolist() == [step == "N-ACTION film box"]
        requests, made = dimse(server), step not in ("N-GET printer", "N-CREATE film session")
        assert requests.count("N-DELETE session") == made
        assert requests.count("N-DELETE box") == (step in ("N-SET image box", "N-ACTION film box"))
        assert peer.negotiated is not None and not server.films


def test_a_second_page_that_fails_leaves_the_first_printed():  # R9.7, R9.9
    with (
        printing(print_largest=8) as (peer, server),
        pytest.raises(StatusError, match=r"N-SET of the image box was refused: 0xC603.*largest=1024") as caught,
    ):
        peer.print([RAMP, np.zeros((9, 9))], "1x1")
    assert caught.value.rows.printed.tolist() == [True, False] and len(server.films) == 1
    assert dimse(server)[-2:] == ["N-DELETE box", "N-DELETE session"]


def test_what_cannot_be_deleted_is_said_and_the_print_stands():  # R9.7
    with (
        printing(print_statuses={"N-DELETE film session": 0x0110}) as (peer, server),
        pytest.warns(ResultWarning, match="could not be deleted: 0x0110"),
    ):
        result = peer.print(RAMP)
    assert result.pages.printed.tolist() == [True] and len(server.films) == 1


def test_the_words_of_every_status_of_a_print_are_known():  # R9.9
    for code in (0xB600, 0xB601, 0xB602, 0xB603, 0xB604, 0xB605, 0xB609, 0xB60A):
        assert Status(code, service="PRINT").category is Category.WARNING, hex(code)
    for code in (0xC600, 0xC601, 0xC602, 0xC603, 0xC605, 0xC613, 0xC616):
        status = Status(code, service="PRINT")
        assert status.category is Category.FAILURE and status.meaning != "unknown", hex(code)


# -- step by step ----------------------------------------------------------------------------------------------------


def test_each_step_alone():  # R9.1
    with printing() as (peer, server):
        with peer.print_session(FilmSessionLabel="ward 3", MediumType="BLUE FILM") as session:
            assert session.update(NumberOfCopies=3).code == 0 and session.printer_status("PrinterName").status
            lut = session.presentation_lut("IDENTITY")
            page = session.film_box(r"ROW\1,2", lut=lut, AnnotationDisplayFormatID="1", Trim="YES")
            assert [uid for uid, _ in page.image_boxes] == [IMAGE] * 3 and len(page.annotation_boxes) == 1
            assert page.update(BorderDensity="WHITE").code == 0
            for position in (3, 1, 2):
                page.set(position, dl.film(np.full((2, 2), position), window=WINDOW).images[0], Polarity="NORMAL")
            page.annotate(1, "ward 3")
            status, job = page.print()
            page.delete()
        assert session.uid == "" and status.code == 0 and job
    (film,) = server.films
    assert [int(film.pixels(at)[0, 0]) for at in (1, 2, 3)] == [1, 2, 3] and film.copies == 3
    assert film.session.FilmSessionLabel == "ward 3" and film.box.BorderDensity == "WHITE"
    assert film.annotations == ["ward 3"] and film.lut is not None and film.box.Trim == "YES"
    assert dimse(server)[-3:] == ["N-DELETE box", "N-DELETE LUT", "N-DELETE session"]


def test_a_session_prints_all_its_pages_at_once():  # R9.1
    with printing() as (peer, server), peer.print_session() as session:
        for value in (1, 2):
            session.film_box().set(1, np.full((2, 2), float(value)))
        status, _ = session.print()
        assert status.code == 0 and len(server.films) == 2


def test_a_session_without_pages_is_refused_and_one_with_empty_pages_warns():  # R9.9
    with printing() as (peer, _), peer.print_session() as session:
        with pytest.raises(StatusError, match=r"N-ACTION of the film session was refused: 0xC600 film session has no"):
            session.print()
        page = session.film_box("2x2")
        assert page.print()[0].code == 0xB603 and session.print()[0].code == 0xB602


def test_a_session_is_deleted_after_an_error_of_its_user():  # R9.7
    with printing() as (peer, server):
        with pytest.raises(ZeroDivisionError), peer.print_session() as session:
            session.film_box()
            1 / 0
        assert dimse(server)[-2:] == ["N-DELETE box", "N-DELETE session"]
        assert peer.printer().status == "NORMAL"


def test_wrong_steps_are_refused_before_anything_is_sent():
    with printing() as (peer, server):
        for attributes, said in (({"FilmSizeID": "A4"}, "no attribute of a film session"), ({"X": 1}, "no attribute")):
            with pytest.raises(InvalidRequest, match=said):
                peer.print_session(**attributes)
        assert not server.transcript
        with peer.print_session() as session:
            page = session.film_box("2x1")
            sent = len(server.transcript)
            for position in (0, 3, "1", True):
                with pytest.raises(InvalidRequest, match="there is no image box"):
                    page.set(position, RAMP)
            with pytest.raises(InvalidRequest, match="there is no annotation box 1"):
                page.annotate(1, "ward 3")
            with pytest.raises(InvalidRequest, match="2 images for one image box"):
                page.set(1, [RAMP, RAMP])
            with pytest.raises(InvalidRequest, match="a colour image does not go into a grayscale film"):
                page.set(1, np.zeros((2, 2, 3), np.uint8))
            with pytest.raises(InvalidRequest, match="LIN OD"):
                session.presentation_lut("ODD")
            with pytest.raises(InvalidRequest, match="whole numbers"):
                session.presentation_lut(table=[0.5, 1.5])
            assert len(server.transcript) == sent
            page.delete()
            with pytest.raises(InvalidRequest, match="deleted already"):
                page.print()


def test_cancel_from_another_thread_ends_a_wait():  # R1.5
    import threading

    with printing(print_job=()) as (peer, _):
        threading.Timer(0.5, peer.cancel).start()
        began = time.monotonic()
        with pytest.raises(dl.errors.ConnectError, match="stopped") as caught:
            peer.print(RAMP, wait=60)
        assert time.monotonic() - began < 20 and caught.value.rows.status.tolist() == [0]


def test_ctrl_c_stops_run_all_and_says_what_was_printed():  # R0.5
    with printing() as (peer, server):
        asked = []

        def second(event: object) -> None:
            asked.append(event)
            if len(asked) == 2:
                raise KeyboardInterrupt

        peer.hooks.add("before N-SET-RQ", second)
        with pytest.raises(Interrupted) as caught:
            peer.print([RAMP, RAMP], "1x1")
        assert caught.value.rows.printed.tolist() == [True, False] and len(server.films) == 1
        assert peer.print(RAMP).pages.printed.tolist() == [True]  # and nothing stands in its way


def test_no_name_is_printed_logged_or_shown_where_names_are_hidden(tmp_path):  # R0.6
    import slices

    paths = slices.write(tmp_path, slices.stack([0.0], SeriesDescription="DOE JANE", PatientName="DOE^JANE"))
    lines: list[Any] = []
    with dl.options.set(phi=False), printing() as (peer, server), peer.log_to(lines.append):
        result = peer.print(paths, text=True)
        said = f"{result}{result.images.to_string()}{lines}{result.film._repr_html_()}"
    assert "JANE" not in said and "JANE" not in str(server.films[0].images[1])


# -- what a peer does wrong ------------------------------------------------------------------------------------------


def printer(asked: Asked) -> Answer:
    """A printer in good order."""
    answer, made = honest(asked), Dataset()
    if asked.name == "N-GET":
        made.PrinterStatus, made.PrinterStatusInfo = "NORMAL", "NORMAL"
    elif asked.name == "N-CREATE" and asked.sop_class == BOX:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = IMAGE, str(generate_uid())
        made.ReferencedImageBoxSequence = [item]
    elif asked.name == "N-ACTION":
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = JOB, str(generate_uid())
        made.ReferencedPrintJobSequence = [item]
    return Answer(made if len(made) else None, answer.sop_instance)


@pytest.mark.parametrize("at", ["N-GET", "N-CREATE", "N-SET", "N-ACTION"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_print_survives_what_a_peer_does_wrong(fault, at):  # R16.12, R9.6
    if (fault, at) == ("other instance", "N-CREATE"):
        fault = "none"  # the printer names what it makes
    wrong = {"event": (PRINTER, "1.2.840.10008.5.1.1.17", 2)}
    outcome, scp = meet(
        fault, lambda peer: peer.print(RAMP), sop_classes=[GREY], allow="print", at=at, answer=printer, **wrong
    )
    if outcome.result is not None:
        assert outcome.result.pages.printed.tolist() == [True] and scp.names()[-1] == "N-DELETE"
        assert bool(outcome.warned) == (fault == "warning" or "event" in fault)
    elif fault in ("failure", "unknown status", "pending") and at in ("N-SET", "N-ACTION"):
        assert scp.names()[-2:] == ["N-DELETE", "N-DELETE"] and outcome.error.rows is not None  # R9.7


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_while_it_is_deleted_does_not_undo_a_print(fault):  # R9.7
    from normalizedfaults import LEEWAY, TIMEOUT, Scripted

    with Scripted([GREY], fault, at="N-DELETE", answer=printer) as scp, scp.peer(allow="print") as peer:
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResultWarning)
            result = peer.print(RAMP)
        assert result.pages.printed.tolist() == [True] and time.monotonic() - began < 2 * TIMEOUT + LEEWAY


def test_a_film_box_without_image_boxes_is_a_broken_promise():  # R9.3
    def bare(asked: Asked) -> Answer:
        return honest(asked)

    outcome, _ = meet("none", lambda peer: _error(peer), sop_classes=[GREY], allow="print", answer=bare)
    assert isinstance(outcome.result, ProtocolError) and "created without image boxes" in str(outcome.result)


def _error(peer: dl.Peer) -> BaseException:
    with pytest.raises(ProtocolError) as caught:
        peer.print(RAMP)
    return caught.value


def test_an_event_nobody_knows_is_answered_no_such_event():  # R9.6
    outcome, scp = meet(
        "event", lambda peer: peer.print(RAMP), sop_classes=[GREY], allow="print", at="N-SET", answer=printer,
        event=(PRINTER, "1.2.840.10008.5.1.1.17", 9),
    )  # fmt: skip
    assert scp.event_statuses == [0x0113] and not len(outcome.result.events)
