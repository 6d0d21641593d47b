"""A film box and what goes into it: image boxes by reference, and their pixels (PS3.4 annex H)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from ...datasets.elements import Elements, tag_of
from ...errors import BadData, InvalidRequest
from ...rendering.filming import BOX, IMAGE, checked
from ...rendering.filmlayout import Layout
from ...rendering.rendered import Rendered
from ...rendering.rendering import render
from ...status import Status
from ..association.normalized import Reply
from .printer import FILM_BOX

if TYPE_CHECKING:
    from .printing import PrintSession


class FilmBox:
    """A page of a film session, with the image boxes that the printer made; made by `PrintSession.film_box`.

    Attributes
    ----------
    uid
        Its SOP Instance UID, "" once it is deleted.
    image_boxes, annotation_boxes
        SOP Class and Instance UIDs in the order of ImageBoxPosition and AnnotationPosition.
    status
        What its N-CREATE was answered with.
    """

    def __init__(self, session: PrintSession, reply: Reply, layout: Layout) -> None:
        self._session, self.layout = session, layout
        self.uid, self.status = reply.sop_instance, reply.status
        self.image_boxes = references(reply.data, "ReferencedImageBoxSequence")
        self.annotation_boxes = references(reply.data, "ReferencedBasicAnnotationBoxSequence")

    def set(self, position: int, image: Any, **attributes: Any) -> Status:
        """N-SET of the image box at a position, from 1 (R9.3).

        Parameters
        ----------
        image
            What `film` takes, of which there is one image.
        **attributes
            Polarity, RequestedImageSize, RequestedDecimateCropBehavior.
        """
        only(attributes, IMAGE, "image box")
        sop_class, uid = self._at(self.image_boxes, position, "image box")
        rendered = image if isinstance(image, Rendered) else _one(image)
        made = dataset_of(attributes)
        made.ImageBoxPosition = position
        setattr(
            made,
            "BasicColorImageSequence" if rendered.colour else "BasicGrayscaleImageSequence",
            [_pixels(rendered)],
        )
        if rendered.colour != self._session.colour:
            kind = "colour" if rendered.colour else "grey"
            raise InvalidRequest(
                f"a {kind} image does not go into a {'colour' if self._session.colour else 'grayscale'} film",
                advice="dicomlab.film(..., colour=True or False) makes them alike.",
            )
        return self._session._ask("N-SET", sop_class, uid, made).status

    def annotate(self, position: int, text: str) -> Status:
        """N-SET of the text of an annotation box, from 1."""
        sop_class, uid = self._at(self.annotation_boxes, position, "annotation box")
        made = Dataset()
        made.AnnotationPosition, made.TextString = position, text[:64]
        return self._session._ask("N-SET", sop_class, uid, made).status

    def update(self, **attributes: Any) -> Status:
        """N-SET of attributes of the film box."""
        only(attributes, BOX, "film box")
        return self._session._ask("N-SET", FILM_BOX, self.uid, dataset_of(attributes)).status

    def print(self) -> tuple[Status, str]:
        """Print the page; the status, and the UID of the print job or ""."""
        return printed(self._session._ask("N-ACTION", FILM_BOX, self.uid))

    def delete(self) -> None:
        """Delete the film box; the page that was printed stays."""
        if self.uid:
            uid, self.uid = self.uid, ""
            with contextlib.suppress(ValueError):
                self._session._boxes.remove(self)
            self._session._ask("N-DELETE", FILM_BOX, uid)

    def _at(self, boxes: Sequence[tuple[str, str]], position: int, what: str) -> tuple[str, str]:
        if isinstance(position, bool) or not isinstance(position, int) or not 1 <= position <= len(boxes):
            raise InvalidRequest(
                f"there is no {what} {position!r}", advice=f"The printer made {len(boxes)}, numbered from 1."
            )
        return boxes[position - 1]


def _one(image: Any) -> Rendered:
    found = render(image)
    if len(found) != 1:
        raise InvalidRequest(f"{len(found)} images for one image box", advice="Give one, such as volume.isel(z=3).")
    return found[0]


def only(attributes: dict[str, Any], known: Sequence[str], of: str) -> None:
    """Refuse attributes that are not of that."""
    checked(attributes)
    for name in attributes:
        if name not in known:
            raise InvalidRequest(f"{name} is no attribute of a {of}", advice=f"There are {', '.join(known)}.")


def dataset_of(attributes: dict[str, Any]) -> Dataset:
    """The attributes as a data set."""
    made = Dataset()
    for name, value in attributes.items():
        try:
            setattr(made, name, value)
        except Exception as error:  # pydicom raises anything on a value that does not fit
            raise InvalidRequest(f"{name}={value!r}: {error}") from None
    return made


def reference(sop_class: str, instance: str) -> Dataset:
    """The item of a sequence that names an instance."""
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = sop_class, instance
    return made


def references(data: Elements | None, name: str) -> tuple[tuple[str, str], ...]:
    """Class and instance of each item of a sequence."""
    if data is None or tag_of(name) not in data.raw:
        return ()
    try:
        return tuple(
            (item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID")) for item in data.items(name)
        )
    except BadData:
        return ()


def printed(reply: Reply) -> tuple[Status, str]:
    """Status and print job of the answer to a print."""
    jobs = references(reply.data, "ReferencedPrintJobSequence")
    return reply.status, jobs[0][1] if jobs else ""


def _pixels(one: Rendered) -> Dataset:
    """The item of an image sequence; of colour the planes follow each other."""
    made = Dataset()
    made.SamplesPerPixel, made.PhotometricInterpretation = (3, "RGB") if one.colour else (1, one.photometric)
    if one.colour:
        made.PlanarConfiguration = 1
    made.Rows, made.Columns = one.pixels.shape[:2]
    if one.aspect[0] != one.aspect[1]:
        made.PixelAspectRatio = list(one.aspect)
    made.BitsAllocated = 8 if one.bits == 8 else 16
    made.BitsStored, made.HighBit, made.PixelRepresentation = one.bits, one.bits - 1, 0
    values = one.pixels.transpose(2, 0, 1) if one.colour else one.pixels
    data = np.ascontiguousarray(values).astype("<u1" if one.bits == 8 else "<u2").tobytes()
    made.add_new(0x7FE00010, "OB" if one.bits == 8 else "OW", data + b"\0" * (len(data) % 2))
    return made
