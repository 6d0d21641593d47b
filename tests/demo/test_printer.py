"""The demo PACS plays a strict printer; asked by pynetdicom, of which the client shares nothing (R16.11)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from dicomlab.demo import DemoServer, Holdings, Manners

ROOT = "1.2.840.10008.5.1.1."
GREY, COLOUR, JOB, ANNOTATION, LUT = (ROOT + end for end in ("9", "18", "14", "15", "23"))
SESSION, BOX, IMAGE, COLOUR_IMAGE = (ROOT + end for end in ("1", "2", "4", "4.1"))
PRINTER, INSTANCE = ROOT + "16", ROOT + "17"
PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


@contextmanager
def asking(server: DemoServer, *classes: str, events: list[Any] | None = None) -> Iterator[Association]:
    ae = AE("SCU")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10

    def report(event: Any) -> tuple[int, None]:
        if events is not None:
            events.append((event.request.AffectedSOPClassUID, event.event_type))
        return 0x0000, None

    association = ae.associate(
        server.host, server.port, contexts=[build_context(name) for name in classes or (GREY,)],
        ae_title=server.ae_title, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    )  # fmt: skip
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def data(**attributes: Any) -> Dataset:
    made = Dataset()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def reference(sop_class: str, uid: str) -> Dataset:
    return data(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)


def image(position: int = 1, colour: bool = False, **changes: Any) -> Dataset:
    pixels = np.repeat(PIXELS[None], 3, 0) if colour else PIXELS
    item = data(
        SamplesPerPixel=3 if colour else 1, PhotometricInterpretation="RGB" if colour else "MONOCHROME2", Rows=3,
        Columns=4, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0,
    )  # fmt: skip
    if colour:
        item.PlanarConfiguration = 1
    item.add_new(0x7FE00010, "OB", pixels.tobytes())
    for name, value in changes.items():
        if value is None:
            delattr(item, name)
        else:
            setattr(item, name, value)
    name = "BasicColorImageSequence" if colour else "BasicGrayscaleImageSequence"
    return data(ImageBoxPosition=position, **{name: [item]})


class Desk:
    """A session and what is in it, by its UIDs."""

    def __init__(self, association: Association, meta: str = GREY) -> None:
        self.association, self.meta = association, meta
        status, _ = self.create(SESSION, None)
        assert status == 0

    def create(self, sop_class: str, given: Dataset | None, *, own: bool = False) -> tuple[int, Dataset]:
        self.uid = str(generate_uid())
        meta = None if own else self.meta
        status, found = self.association.send_n_create(given, sop_class, self.uid, meta_uid=meta)
        if sop_class == SESSION and status.Status == 0:
            self.session = self.uid
        return status.Status, found

    def box(self, form: str = r"STANDARD\1,1", **attributes: Any) -> tuple[int, Dataset]:
        session = [reference(SESSION, self.session)]
        reply = self.create(
            BOX, data(ImageDisplayFormat=form, ReferencedFilmSessionSequence=session, **attributes)
        )
        self.box_uid = self.uid
        return reply

    def set(self, sop_class: str, uid: str, given: Dataset, *, own: bool = False) -> int:
        status, _ = self.association.send_n_set(given, sop_class, uid, meta_uid=None if own else self.meta)
        return status.Status

    def print(self, sop_class: str = BOX, action: int = 1) -> tuple[int, Dataset | None]:
        uid = self.session if sop_class == SESSION else self.box_uid
        status, found = self.association.send_n_action(None, action, sop_class, uid, meta_uid=self.meta)
        return status.Status, found


def test_a_page_is_kept_as_it_came():
    with DemoServer(Holdings()) as server, asking(server) as association:
        desk = Desk(association)
        status, made = desk.box(r"STANDARD\2,1")
        assert status == 0 and [one.ReferencedSOPClassUID for one in made.ReferencedImageBoxSequence] == [IMAGE] * 2
        first, second = (one.ReferencedSOPInstanceUID for one in made.ReferencedImageBoxSequence)
        assert desk.set(IMAGE, second, image(2)) == 0 and desk.print()[0] == 0
        (film,) = server.films
        assert film.calling == "SCU" and list(film.images) == [2] and np.array_equal(film.pixels(2), PIXELS)
        assert desk.set(IMAGE, first, image(2)) == 0x0106  # it is at position 1
        assert desk.set(IMAGE, "1.2.3", image()) == 0x0112


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0), ({"PhotometricInterpretation": "RGB"}, 0x0106), ({"Rows": 4}, 0x0106), ({"BitsStored": 12}, 0x0106),
        ({"PixelRepresentation": 1}, 0x0106), ({"PlanarConfiguration": 1}, 0x0106), ({"Columns": None}, 0x0120),
        ({"PixelData": None}, 0x0120),
    ],
)  # fmt: skip
def test_an_image_that_is_not_encoded_for_print_is_refused(changes, status):
    with DemoServer(Holdings()) as server, asking(server) as association:
        desk = Desk(association)
        _, made = desk.box()
        (box,) = made.ReferencedImageBoxSequence
        assert desk.set(IMAGE, box.ReferencedSOPInstanceUID, image(**changes)) == status
        assert desk.print()[0] == (0 if status == 0 else 0xB603)  # an empty page


def test_colour_is_taken_by_its_planes_alone_and_on_its_own_context():
    with DemoServer(Holdings()) as server, asking(server, GREY, COLOUR) as association:
        desk = Desk(association, COLOUR)
        _, made = desk.box()
        (box,) = made.ReferencedImageBoxSequence
        assert box.ReferencedSOPClassUID == COLOUR_IMAGE
        uid = box.ReferencedSOPInstanceUID
        assert desk.set(COLOUR_IMAGE, uid, image(1, True, PlanarConfiguration=0)) == 0x0106
        assert desk.set(COLOUR_IMAGE, uid, image(1)) == 0x0120  # a grey one
        status, _ = association.send_n_set(image(1, True), COLOUR_IMAGE, uid, meta_uid=GREY)
        assert status.Status == 0x0118
        assert desk.set(COLOUR_IMAGE, uid, image(1, True)) == 0 and desk.print()[0] == 0
        assert np.array_equal(server.films[0].pixels(1), np.repeat(PIXELS[..., None], 3, -1)) and server.films[0].colour


def test_what_is_missing_or_wrong_in_a_film_box_is_refused():
    with DemoServer(Holdings()) as server, asking(server) as association:
        desk = Desk(association)
        session = [reference(SESSION, desk.session)]
        assert desk.create(BOX, data(ReferencedFilmSessionSequence=session))[0] == 0x0120
        assert desk.create(BOX, data(ImageDisplayFormat=r"STANDARD\1,1"))[0] == 0x0120
        other = [reference(SESSION, "1.2.3")]
        strange = data(ImageDisplayFormat=r"STANDARD\1,1", ReferencedFilmSessionSequence=other)
        assert desk.create(BOX, strange)[0] == 0x0106
        for form in ("ODD", r"STANDARD\0,1", r"STANDARD\11,11", r"ROW\\"):
            assert desk.box(form)[0] == 0x0106, form
        assert desk.box(AnnotationDisplayFormatID="1")[0] == 0x0106  # it was not negotiated
        assert desk.box(ReferencedPresentationLUTSequence=[reference(LUT, "1.2.3")])[0] == 0x0106
        assert desk.create(SESSION, None)[0] == 0x0213  # one at a time
        assert desk.print(SESSION)[0] == 0xC600 and desk.box()[0] == 0
        assert desk.print(action=2)[0] == 0x0123 and desk.print(SESSION)[0] == 0xB602


def test_a_printer_of_one_page_at_a_time_wants_each_printed_before_the_next():
    with DemoServer(Holdings(), manners=Manners(print_one_box=True)) as server, asking(server) as association:
        desk = Desk(association)
        assert desk.box()[0] == 0 and desk.box()[0] == 0xC616


def test_nothing_is_there_that_was_deleted():
    with DemoServer(Holdings()) as server, asking(server, GREY, LUT) as association:
        desk = Desk(association)
        desk.box()
        for sop_class, uid in ((BOX, desk.box_uid), (SESSION, desk.session)):
            for status in (0x0000, 0x0112):
                assert association.send_n_delete(sop_class, uid, meta_uid=GREY).Status == status
        assert desk.create(LUT, data(PresentationLUTShape="ODD"), own=True)[0] == 0x0106
        assert desk.create(LUT, None, own=True)[0] == 0x0120
        assert desk.create(LUT, data(PresentationLUTShape="IDENTITY"), own=True)[0] == 0
        for status in (0x0000, 0x0112):
            assert association.send_n_delete(LUT, desk.uid).Status == status


def test_annotation_goes_into_its_own_boxes():
    with DemoServer(Holdings()) as server, asking(server, GREY, ANNOTATION) as association:
        desk = Desk(association)
        _, made = desk.box(AnnotationDisplayFormatID="3")
        boxes = [one.ReferencedSOPInstanceUID for one in made.ReferencedBasicAnnotationBoxSequence]
        assert len(boxes) == 3
        assert desk.set(ANNOTATION, boxes[1], data(AnnotationPosition=1, TextString="x"), own=True) == 0x0106
        assert desk.set(ANNOTATION, boxes[1], data(AnnotationPosition=2, TextString="ward 3"), own=True) == 0
        assert desk.set(ANNOTATION, "1.2.3", data(AnnotationPosition=1), own=True) == 0x0112


def test_one_attribute_that_is_not_known_fails_all_of_them():
    with DemoServer(Holdings()) as server, asking(server) as association:
        def get(tags: list[int]) -> tuple[int, Dataset | None]:
            status, found = association.send_n_get(tags, PRINTER, INSTANCE, meta_uid=GREY)
            return status.Status, found

        status, found = get([0x21100010, 0x21100020])
        assert status == 0 and found is not None and found.PrinterStatus == "NORMAL"
        assert get([0x21100010, 0x00181200])[0] == 0x0105
        status, found = get([])
        assert status == 0 and found is not None and found.PrinterName == "DEMO"
        assert association.send_n_get([], PRINTER, "1.2.3", meta_uid=GREY)[0].Status == 0x0112


def test_events_of_a_job_come_after_the_answer_and_are_counted_with_theirs():
    events: list[Any] = []
    with DemoServer(Holdings()) as server, asking(server, GREY, JOB, events=events) as association:
        desk = Desk(association)
        _, made = desk.box()
        assert desk.set(IMAGE, made.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID, image()) == 0
        status, reply = desk.print()
        assert status == 0 and reply is not None
        job = reply.ReferencedPrintJobSequence[0].ReferencedSOPInstanceUID
        end = time.monotonic() + 10
        while len(server.event_answers) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        assert events == [(JOB, 1), (JOB, 2), (JOB, 3)] and server.event_answers == [0, 0, 0]
        found = association.send_n_get([0x21000020], JOB, job)
        assert found[0].Status == 0 and found[1].ExecutionStatus == "DONE"
        assert server.films[0].job == job


def test_statuses_are_set_by_the_manners_and_the_transcript_has_every_request():
    manners = Manners(print_statuses={"N-CREATE film box": 0xC616, "N-DELETE film session": 0xB600})
    with DemoServer(Holdings(), manners=manners) as server, asking(server) as association:
        desk = Desk(association)
        assert desk.box()[0] == 0xC616
        assert association.send_n_delete(SESSION, desk.session, meta_uid=GREY).Status == 0xB600
        names = [f"{one.service} {one.sop_class}" for one in server.transcript[1:]]
        assert names == [f"N-CREATE {SESSION}", f"N-CREATE {BOX}", f"N-DELETE {SESSION}"]
