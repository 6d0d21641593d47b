"""Films at the printer (PS3.4 annex H): session, boxes and images of one association, checked and kept as they came."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from .negotiation import PRINTING

if TYPE_CHECKING:
    from .request import Call

ROOT = "1.2.840.10008.5.1.1."
SESSION, FILM_BOX, PRINTER, PRINTER_INSTANCE = (ROOT + end for end in ("1", "2", "16", "17"))
IMAGE_BOX = {PRINTING["grayscale"]: ROOT + "4", PRINTING["colour"]: ROOT + "4.1"}  # of each meta class
JOB, ANNOTATION, LUT, CONFIGURATION = (
    PRINTING[name] for name in ("print job", "annotation", "presentation LUT", "printer configuration")
)
CONFIGURATION_INSTANCE = ROOT + "17.376"
INVALID, MISSING, NO_INSTANCE, NO_CLASS, NO_ACTION, NO_ATTRIBUTE = 0x0106, 0x0120, 0x0112, 0x0118, 0x0123, 0x0105
UNRECOGNISED, DUPLICATE, RESOURCES = 0x0211, 0x0111, 0x0213
EMPTY_SESSION, EMPTY_BOX, NO_BOX, TOO_LARGE, NOT_PRINTED = 0xB602, 0xB603, 0xC600, 0xC603, 0xC616


class Refused(Exception):
    """A request that is answered with a status of failure."""

    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__(comment)
        self.status, self.comment = status, comment


@dataclass
class Box:
    """A film box and what was put into it."""

    uid: str
    attributes: Dataset
    images: dict[str, Dataset | None]  # by UID of the image box, in the order of their positions
    annotations: dict[str, str]  # likewise
    lut: Dataset | None = None
    printed: bool = False


@dataclass
class PrintedFilm:
    """A film as it was printed."""

    calling: str
    colour: bool
    copies: int
    session: Dataset
    box: Dataset
    images: dict[int, Dataset]  # the modification list of each image box, by position
    annotations: list[str]
    lut: Dataset | None
    job: str = ""

    def pixels(self, position: int) -> np.ndarray[Any, Any]:
        """What came for a position: (rows, columns), or in colour (rows, columns, 3)."""
        item = image_of(self.images[position])
        kind = np.dtype("u1") if item.BitsAllocated == 8 else np.dtype("<u2")
        count = item.Rows * item.Columns * item.SamplesPerPixel
        values = np.frombuffer(item.PixelData, kind, count)
        if item.SamplesPerPixel == 3:
            return values.reshape(3, item.Rows, item.Columns).transpose(1, 2, 0)
        return values.reshape(item.Rows, item.Columns)


@dataclass
class Desk:
    """What one association has made."""

    session: str = ""
    attributes: Dataset = field(default_factory=Dataset)
    boxes: dict[str, Box] = field(default_factory=dict)
    luts: dict[str, Dataset] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)  # what is known of each


@dataclass
class Answer:
    """What a request is answered with."""

    data: Dataset | None = None
    instance: str = ""
    status: int = 0x0000
    job: str = ""


def desk_of(call: Call) -> Desk:
    """What the association of this request has made so far."""
    found: Desk | None = getattr(call.assoc, "demo_desk", None)
    if found is None:
        found = Desk()
        setattr(call.assoc, "demo_desk", found)  # noqa: B010
    return found


def classes_of(call: Call) -> tuple[str, ...]:
    """The classes that may be asked for on the context of this request."""
    context = str(call.assoc._accepted_cx[call.context_id].abstract_syntax)
    if context in IMAGE_BOX:
        return (SESSION, FILM_BOX, IMAGE_BOX[context], PRINTER)
    return (context,)


def instance_asked(call: Call) -> str:
    """The instance that is asked."""
    message = call.message
    return str(getattr(message, "RequestedSOPInstanceUID", None) or "")


def new_instance(call: Call, there: Container[str]) -> str:
    """The UID of what an N-CREATE makes: the one that it gives, or one of ours."""
    uid = str(call.message.AffectedSOPInstanceUID or generate_uid())
    if uid in there:
        raise Refused(DUPLICATE, "there is one of that UID")
    return uid


def given_in(call: Call) -> Dataset:
    """The attributes of the request."""
    return Dataset() if call.identifier is None else call.identifier


def on_context(call: Call, sop_class: str) -> Call | None:
    """The call on the context of another class; None where that was not negotiated."""
    for number, context in call.assoc._accepted_cx.items():
        if str(context.abstract_syntax) == sop_class:
            return replace(call, context_id=number, transfer_syntax=str(context.transfer_syntax[0]))
    return None


def reference(sop_class: str, instance: str) -> Dataset:
    """The item of a sequence that names an instance."""
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = sop_class, instance
    return made


# -- film session ----------------------------------------------------------------------------------------------------


def create_session(call: Call, desk: Desk) -> Answer:
    """N-CREATE of a film session."""
    if desk.session:
        raise Refused(RESOURCES, "one film session at a time")
    desk.attributes = given_in(call)
    if int(desk.attributes.get("NumberOfCopies") or 1) < 1:
        raise Refused(INVALID, "NumberOfCopies")
    desk.session = new_instance(call, ())
    made = Dataset()
    made.OwnerID = call.calling
    return Answer(made, desk.session)


def _session(call: Call, desk: Desk) -> None:
    if not desk.session or instance_asked(call) != desk.session:
        raise Refused(NO_INSTANCE, "no such film session")


def set_session(call: Call, desk: Desk) -> Answer:
    """N-SET of one."""
    _session(call, desk)
    desk.attributes.update(given_in(call))
    return Answer()


def print_session(call: Call, desk: Desk) -> Answer:
    """N-ACTION of one: all its film boxes."""
    _session(call, desk)
    _right_action(call)
    if not desk.boxes:
        raise Refused(NO_BOX, "the film session has no film box")
    films = [film for box in desk.boxes.values() if (film := _expose(call, desk, box)) is not None]
    return _out(call, desk, films, EMPTY_SESSION)


def delete_session(call: Call, desk: Desk) -> Answer:
    """N-DELETE of one, and of what is in it."""
    _session(call, desk)
    desk.session = ""
    desk.boxes.clear()
    return Answer()


# -- film box --------------------------------------------------------------------------------------------------------


def create_box(call: Call, desk: Desk) -> Answer:
    """N-CREATE of a film box, with boxes for its images and annotations."""
    given = given_in(call)
    if "ImageDisplayFormat" not in given or not given.get("ReferencedFilmSessionSequence"):
        raise Refused(MISSING, "ImageDisplayFormat and ReferencedFilmSessionSequence")
    named = given.ReferencedFilmSessionSequence[0]
    if not desk.session or named.get("ReferencedSOPInstanceUID") != desk.session:
        raise Refused(INVALID, "no such film session")
    if call.server.manners.print_one_box and any(not box.printed for box in desk.boxes.values()):
        raise Refused(NOT_PRINTED, "an earlier film box is not printed")
    made = Dataset()
    meta = str(call.assoc._accepted_cx[call.context_id].abstract_syntax)
    images = [str(generate_uid()) for _ in range(_places(str(given.ImageDisplayFormat)))]
    made.ReferencedImageBoxSequence = [reference(IMAGE_BOX[meta], uid) for uid in images]
    annotations: list[str] = []
    if given.get("AnnotationDisplayFormatID"):
        if on_context(call, ANNOTATION) is None:
            raise Refused(INVALID, "annotation was not negotiated")
        digits = re.search(r"\d+", str(given.AnnotationDisplayFormatID))
        annotations = [str(generate_uid()) for _ in range(int(digits[0]) if digits else 2)]
        made.ReferencedBasicAnnotationBoxSequence = [reference(ANNOTATION, uid) for uid in annotations]
    lut = None
    if given.get("ReferencedPresentationLUTSequence"):
        lut = desk.luts.get(str(given.ReferencedPresentationLUTSequence[0].ReferencedSOPInstanceUID))
        if lut is None:
            raise Refused(INVALID, "no such presentation LUT")
    made.ImageDisplayFormat = given.ImageDisplayFormat
    box = Box(new_instance(call, desk.boxes), given, dict.fromkeys(images), dict.fromkeys(annotations, ""), lut)
    desk.boxes[box.uid] = box
    return Answer(made, box.uid)


def _places(form: str | Any) -> int:
    """How many image boxes a format has."""
    kind, _, counts = str(form if isinstance(form, str) else "\\".join(form)).partition("\\")
    numbers = [int(one) for one in counts.split(",") if one.strip().isdigit()]
    found = {"STANDARD": numbers[0] * numbers[1] if len(numbers) == 2 else 0, "ROW": sum(numbers), "COL": sum(numbers)}
    if not 1 <= found.get(kind.strip(), 0) <= 100:
        raise Refused(INVALID, f"ImageDisplayFormat {form}")
    return found[kind.strip()]


def _box(call: Call, desk: Desk) -> Box:
    found = desk.boxes.get(instance_asked(call))
    if found is None:
        raise Refused(NO_INSTANCE, "no such film box")
    return found


def set_box(call: Call, desk: Desk) -> Answer:
    """N-SET of one."""
    _box(call, desk).attributes.update(given_in(call))
    return Answer()


def print_box(call: Call, desk: Desk) -> Answer:
    """N-ACTION of one."""
    box = _box(call, desk)
    _right_action(call)
    film = _expose(call, desk, box)
    return _out(call, desk, [] if film is None else [film], EMPTY_BOX)


def delete_box(call: Call, desk: Desk) -> Answer:
    """N-DELETE of one."""
    del desk.boxes[_box(call, desk).uid]
    return Answer()


def _right_action(call: Call) -> None:
    if call.message.ActionTypeID != 1:
        raise Refused(NO_ACTION)


def _expose(call: Call, desk: Desk, box: Box) -> PrintedFilm | None:
    """Keep the film; None where there is nothing on it."""
    images = {number: one for number, one in enumerate(box.images.values(), 1) if one is not None}
    box.printed = True
    if not images:
        return None
    return PrintedFilm(
        call.calling,
        str(call.assoc._accepted_cx[call.context_id].abstract_syntax) == PRINTING["colour"],
        int(desk.attributes.get("NumberOfCopies") or 1),
        desk.attributes,
        box.attributes,
        images,
        list(box.annotations.values()),
        box.lut,
    )


def _out(call: Call, desk: Desk, films: list[PrintedFilm], empty: int) -> Answer:
    if not films:
        return Answer(status=empty)
    job, made = "", None
    if on_context(call, JOB) is not None:
        job, made = str(generate_uid()), Dataset()
        made.ReferencedPrintJobSequence = [reference(JOB, job)]
        desk.jobs[job] = "PENDING"
    for film in films:
        film.job = job
        call.server.films.append(film)
    return Answer(made, job=job)


# -- image boxes and annotation --------------------------------------------------------------------------------------


def image_of(given: Dataset) -> Dataset:
    """The image that is in the request."""
    for name in ("BasicGrayscaleImageSequence", "BasicColorImageSequence"):
        if given.get(name):
            return given[name].value[0]
    raise Refused(MISSING, "an image sequence")


def set_image(call: Call, desk: Desk) -> Answer:
    """N-SET of an image box."""
    uid, given = instance_asked(call), given_in(call)
    box = next((box for box in desk.boxes.values() if uid in box.images), None)
    if box is None:
        raise Refused(NO_INSTANCE, "no such image box")
    if "ImageBoxPosition" not in given:
        raise Refused(MISSING, "ImageBoxPosition")
    if given.ImageBoxPosition != list(box.images).index(uid) + 1:
        raise Refused(INVALID, f"this image box is not at position {given.ImageBoxPosition}")
    colour = str(call.assoc._accepted_cx[call.context_id].abstract_syntax) == PRINTING["colour"]
    if colour != ("BasicColorImageSequence" in given):
        raise Refused(MISSING, "the image sequence of this meta class")
    _check_image(image_of(given), colour, call.server.manners.print_largest)
    box.images[uid] = given
    return Answer()


def _check_image(item: Dataset, colour: bool, largest: int) -> None:
    for name in ("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored",
                 "HighBit", "PixelRepresentation", "PixelData"):  # fmt: skip
        if name not in item:
            raise Refused(MISSING, name)
    depth = (item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation)
    if colour:
        kind = (item.SamplesPerPixel, item.PhotometricInterpretation, item.get("PlanarConfiguration"))
        fits = kind == (3, "RGB", 1) and depth == (8, 8, 7, 0)
    else:
        fits = item.SamplesPerPixel == 1 and item.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2")
        fits = fits and depth in ((8, 8, 7, 0), (16, 12, 11, 0)) and "PlanarConfiguration" not in item
    length = item.Rows * item.Columns * item.SamplesPerPixel * item.BitsAllocated // 8
    if not fits or len(item.PixelData) != length + length % 2:
        raise Refused(INVALID, "the image is not encoded as images for print are")
    if largest and max(item.Rows, item.Columns) > largest:
        raise Refused(TOO_LARGE, f"more than {largest} pixels")


def set_annotation(call: Call, desk: Desk) -> Answer:
    """N-SET of an annotation box."""
    uid, given = instance_asked(call), given_in(call)
    box = next((box for box in desk.boxes.values() if uid in box.annotations), None)
    if box is None:
        raise Refused(NO_INSTANCE, "no such annotation box")
    if given.get("AnnotationPosition") != list(box.annotations).index(uid) + 1:
        raise Refused(INVALID, "AnnotationPosition")
    box.annotations[uid] = str(given.get("TextString", ""))
    return Answer()


def create_lut(call: Call, desk: Desk) -> Answer:
    """N-CREATE of a presentation LUT."""
    given = given_in(call)
    if ("PresentationLUTShape" in given) == ("PresentationLUTSequence" in given):
        raise Refused(MISSING, "a shape or a table")
    if given.get("PresentationLUTShape", "IDENTITY") not in ("IDENTITY", "LIN OD"):
        raise Refused(INVALID, "PresentationLUTShape")
    uid = new_instance(call, desk.luts)
    desk.luts[uid] = given
    return Answer(instance=uid)


def delete_lut(call: Call, desk: Desk) -> Answer:
    """N-DELETE of one."""
    if desk.luts.pop(instance_asked(call), None) is None:
        raise Refused(NO_INSTANCE, "no such presentation LUT")
    return Answer()
