"""The viewer: a widget that gets the voxels once, and scrolls and windows in the browser without the kernel."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from contextlib import suppress
from importlib.resources import files
from typing import Any

import anywidget
import numpy as np
import traitlets
import xarray as xr

from ..errors import DicomlabError, GeometryError, InvalidRequest, did_you_mean
from ..geometry.resample import must_be_volume, same_frame
from ..volumes.windows import checked_window
from .figure import view as still
from .paper import Picture
from .scene import Scene

# One module, in this order:
SCRIPTS = ("planes.js", "voxels.js", "colours.js", "pane.js", "controls.js", "moves.js", "viewer.js")
MEMORY = 1024  # MB
_PLAIN = ("three", "invert", "crosshair", "overlay", "opacity", "height")  # choices that are true, false or a number
_FALLBACK = {"slices": 6, "width": 6.5}  # the picture for where no widget runs


def _script(*names: str) -> str:
    return "\n".join(files(__package__).joinpath("js", name).read_text(encoding="utf-8") for name in names)


class Viewer(anywidget.AnyWidget):
    """A volume to look at; made by `view`.

    What it shows can be read and set, and observed with ``viewer.observe(function, "index")``.

    Attributes
    ----------
    plane : str
        "axial", "coronal" or "sagittal", as far as the volume has geometry; else "z", "y" or "x", which always do.
    index : int
        Of the slice of that plane.
    cursor : tuple of int
        Indices k, j, i of the voxel under the crosshair.
    position : tuple of float or None
        Its place in the patient (LPS, mm). What is set moves to the nearest voxel. None without geometry.
    element : tuple of int
        Index of each dimension that is not of space, such as time.
    window : tuple of float
        Centre and width; the name of a window of CT may be set. None for colour.
    three, invert, crosshair, overlay : bool
        Three planes at once; white for low values; the crosshair; masks and dose.
    opacity : float
        Of masks and dose, 0 to 1.
    """

    _esm = _script(*SCRIPTS)
    _css = _script("viewer.css")

    plane = traitlets.Unicode("").tag(sync=True)
    cursor = traitlets.Tuple().tag(sync=True)
    element = traitlets.Tuple().tag(sync=True)
    window = traitlets.Any(None, allow_none=True).tag(sync=True)
    three = traitlets.Bool(False).tag(sync=True)
    invert = traitlets.Bool(False).tag(sync=True)
    crosshair = traitlets.Bool(True).tag(sync=True)
    overlay = traitlets.Bool(True).tag(sync=True)
    opacity = traitlets.Float(0.4, min=0.0, max=1.0).tag(sync=True)
    height = traitlets.Int(480, min=160, max=4000).tag(sync=True)
    group = traitlets.Unicode("").tag(sync=True)  # viewers of one group share their position
    session = traitlets.Unicode("").tag(sync=True)  # names the voxels in the browser; random
    index = traitlets.Int(0)
    position = traitlets.Any(None, allow_none=True)

    def __init__(
        self,
        volume: xr.DataArray,
        *,
        window: tuple[float, float] | str | None = None,
        plane: str | None = None,
        position: Iterable[float] | None = None,
        masks: Any = None,
        dose: Any = None,
        beside: xr.DataArray | None = None,
        memory: float = MEMORY,
        **choices: Any,
    ) -> None:
        self._scene: Scene | None = None
        self._linked: list[Viewer] = []
        self._busy = self._remote = False
        self._png: bytes | None = None
        must_be_volume(volume)
        known = [name for name in self.class_trait_names(sync=True) if not name.startswith("_")]
        for name, value in choices.items():
            if name not in known:
                raise InvalidRequest(f"view has no choice {name!r}{did_you_mean(name, known)}")
            self._check_choice(name, value)
        scene = Scene(volume, masks, dose)
        if isinstance(memory, bool) or not isinstance(memory, int | float) or not memory > 0:
            raise InvalidRequest(f"memory of {memory!r} MB", advice=f"Give a number, such as {MEMORY}.")
        self.memory = float(memory)
        colour = "channel" in scene.volume.dims
        if window is None and not colour:
            window = volume.dicom.window
        start = {
            "cursor": tuple(size // 2 for size in scene.shape),
            "element": tuple(0 for _ in scene.front),
            "plane": next((pane.name for pane in scene.panes if pane.across not in volume.dims), scene.panes[0].name),
            "invert": scene.given.attrs.get("PhotometricInterpretation") == "MONOCHROME1",
            "session": uuid.uuid4().hex,
        }
        self._scene = scene
        super().__init__(**{**start, "window": None if colour else window, **choices})
        self._follow()
        if plane is not None:
            self.plane = plane
        if position is not None:
            self.position = tuple(position)
        self.on_msg(self._answer)
        self.beside: Viewer | None = None
        if beside is not None:
            self.beside = Viewer(beside, memory=memory, height=self.height)
            self.link(self.beside)
            for one in (self, self.beside):  # equally wide
                one.layout.flex, one.layout.min_width = "1 1 0%", "0"

    # ------------------------------------------------------------------ what is set is checked
    @property
    def scene(self) -> Scene:
        """What it shows."""
        if self._scene is None:
            raise InvalidRequest("the viewer is closed", advice="Make another with dl.view.")
        return self._scene

    def close(self) -> None:
        """End the widget and let go of the volume, which it holds till then."""
        self._scene, self._png = None, None
        super().close()

    def _check_choice(self, name: str, value: Any) -> None:
        """Refuse in words of ours what the widget would; its message writes out all that an array holds."""
        if isinstance(value, xr.DataArray | np.ndarray):
            raise InvalidRequest(
                f"view takes no array as {name}=", advice="Masks are given as masks=, a dose as dose=."
            )
        trait = self.traits()[name]
        if name in _PLAIN:
            try:
                trait.validate(self, value)
            except traitlets.TraitError:
                raise InvalidRequest(f"view cannot take {name}={value!r:.40}", advice=f"Give {trait.info()}.") from None

    @traitlets.validate("plane")
    def _check_plane(self, proposal: Any) -> str:
        wanted, names = str(proposal.value).lower(), []
        for pane in self.scene.panes:
            if wanted in (pane.name, pane.across):
                return pane.name
            names += [pane.name]
        advice = f"It has {', '.join(names)}."
        raise InvalidRequest(f"there is no plane {proposal.value!r}{did_you_mean(wanted, names)}", advice=advice)

    @traitlets.validate("cursor")
    def _check_cursor(self, proposal: Any) -> tuple[int, ...]:
        return _inside(proposal.value, self.scene.shape, ("z", "y", "x"), "cursor")

    @traitlets.validate("element")
    def _check_element(self, proposal: Any) -> tuple[int, ...]:
        scene = self.scene
        sizes = tuple(int(scene.volume.sizes[name]) for name in scene.front)
        return _inside(proposal.value, sizes, tuple(scene.front), "element")

    @traitlets.validate("window")
    def _check_window(self, proposal: Any) -> tuple[float, float] | None:
        if "channel" in self.scene.volume.dims:
            if proposal.value is None:
                return None
            raise InvalidRequest("colours have no window", advice="Leave it out.")
        if proposal.value is None:
            return tuple(self.scene.given.dicom.window)  # type: ignore[return-value]
        return checked_window(proposal.value, self.scene.volume.dicom.units)

    @traitlets.validate("index")
    def _check_index(self, proposal: Any) -> int:
        across, size = self._across()
        if not 0 <= proposal.value < size:
            raise InvalidRequest(
                f"there is no slice {proposal.value} along {across}", advice=f"Give a whole number below {size}."
            )
        return int(proposal.value)

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> tuple[float, ...] | None:
        if self.scene.matrix is None:
            if proposal.value is None:
                return None
            raise GeometryError("the volume has no position in the patient", advice="Set .cursor, in voxels.")
        try:
            found = tuple(float(each) for each in proposal.value)
        except (TypeError, ValueError):
            found = ()
        if len(found) != 3 or not np.isfinite(found).all():
            raise InvalidRequest(f"{proposal.value!r} is no position", advice="Give x, y and z of the patient in mm.")
        return found

    # ------------------------------------------------------------------ index and position follow the cursor
    def _across(self) -> tuple[str, int]:
        pane = next(pane for pane in self.scene.panes if pane.name == self.plane)
        return pane.across, self.scene.shape["zyx".index(pane.across)]

    def _follow(self) -> None:
        """Index and position say where the cursor is."""
        self._busy = True
        try:
            self.index = self.cursor["zyx".index(self._across()[0])]
            self.position = self.scene.position(self.cursor)
        finally:
            self._busy = False

    @traitlets.observe("cursor", "plane")
    def _moved(self, _: Any) -> None:
        if self._scene is None or not self.cursor or not self.plane:
            return
        self._follow()
        if not self._remote:  # in the browser those linked follow by themselves
            for other in self._linked:
                other._go(self.position)

    @traitlets.observe("index")
    def _turned(self, change: Any) -> None:
        if not self._busy and self._scene is not None:
            cursor = list(self.cursor)
            cursor["zyx".index(self._across()[0])] = change.new
            self.cursor = tuple(cursor)

    @traitlets.observe("position")
    def _placed(self, change: Any) -> None:
        if not self._busy and self._scene is not None and change.new is not None:
            self.cursor = self.scene.nearest(change.new)
            self._follow()

    def _go(self, position: Any) -> None:
        """Follow another viewer, which is not told."""
        before, self._remote = self._remote, True
        try:
            self.cursor = self.scene.nearest(position)
        finally:
            self._remote = before

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What the browser says."""
        self._remote = True
        try:
            super().set_state(sync_data)
        finally:
            self._remote = False

    # ------------------------------------------------------------------ for whoever calls
    @property
    def value(self) -> Any:
        """Of the voxel under the crosshair, exactly: a number, three numbers for colour."""
        found = self.scene.volume[(*self.element, *self.cursor)].values
        return found.tolist()

    def link(self, other: Viewer) -> Viewer:
        """Let another viewer go to the same place in the patient, each way, and give this one back.

        Raises
        ------
        InvalidRequest
            It is no viewer, or this one.
        GeometryError
            The volumes are not in one frame of reference.
        """
        if not isinstance(other, Viewer) or other is self:
            raise InvalidRequest(f"{type(other).__name__} cannot be linked", advice="Give another viewer of dl.view.")
        mine, theirs = self.scene.volume.dicom, other.scene.volume.dicom
        same_frame(mine.frame_of_reference, theirs.frame_of_reference, "the volumes")
        if other not in self._linked:
            everyone = [self, *self._linked, other, *other._linked]
            name = self.group or uuid.uuid4().hex
            for one in everyone:
                one.group = name
                one._linked = [each for each in everyone if each is not one]
        for one in self._linked:
            one._go(self.position)
        return self

    def figure(self, **choices: Any) -> Picture:
        """Slices side by side as a still matplotlib figure.

        Parameters
        ----------
        choices
            ``axis`` ("z", "y" or "x"), ``slices`` (how many at most), ``width`` in inches, ``window``.
        """
        volume = self.scene.given
        for name, index in zip(self.scene.front, self.element, strict=True):
            volume = volume.isel({name: index})
        return still(volume, **{"window": self.window, **choices})

    def __repr__(self) -> str:
        if self._scene is None or not self.cursor:
            return "<Viewer>"
        sizes = " × ".join(f"{length} {name}" for name, length in self.scene.given.sizes.items())
        units = f" {self.scene.volume.dicom.units}" if self.scene.volume.dicom.units else ""
        seen = "colour" if self.window is None else f"window {self.window[0]:g} / {self.window[1]:g}{units}"
        return f"<Viewer: {self.scene.title}, {sizes}; {self.plane} slice {self.index}, {seen}>"

    def _repr_png_(self) -> bytes:
        if self._png is None:
            self._png = self.figure(**_FALLBACK)._repr_png_()
        return self._png

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget; and for where none runs, text and a picture."""
        if self.beside is None:
            made: Any = super()._repr_mimebundle_(**kwargs)
        else:
            from ipywidgets import HBox

            made = HBox([self, self.beside])._repr_mimebundle_(**kwargs)
        data, metadata = made if isinstance(made, tuple) else (made, {})
        data["text/plain"] = repr(self)
        with suppress(DicomlabError, ValueError):  # the picture is only for those who see no widget
            data["image/png"] = base64.b64encode(self._repr_png_()).decode()
        return data, metadata

    # ------------------------------------------------------------------ what the browser asks for
    def _answer(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        try:
            kind = content.get("kind")
            if kind == "hello":
                whole = self.scene.bytes <= self.memory * 2**20
                self.send({"kind": "words", "whole": whole, "limit": self.memory, **self.scene.words()})
            elif kind == "piece":
                layer = self.scene.layers[content["layer"]]
                first, last = max(0, int(content["first"])), min(layer.planes, int(content["last"]))
                self.send({"kind": "piece", "layer": content["layer"], "first": first, "last": last},
                          [memoryview(layer.piece(first, last)).cast("B")])  # fmt: skip
            elif kind == "plane":
                layer = self.scene.layers[content["layer"]]
                element = content["element"] if layer.kind == "image" else 0
                made = layer.plane(content["across"], content["index"], element)
                self.send({**content, "kind": "plane"}, [memoryview(made).cast("B")])
        except Exception as error:  # shown in the widget: a callback has nobody else to tell
            self.send({"kind": "error", "text": f"{type(error).__name__}: {error}"})


def _inside(given: Any, sizes: tuple[int, ...], names: tuple[str, ...], what: str) -> tuple[int, ...]:
    """Indices, one for each of `names`, that lie inside.

    Raises
    ------
    InvalidRequest
        They are too many or too few, or one lies outside.
    """
    found = tuple(given) if isinstance(given, tuple | list) else ()
    whole = all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in found)
    if len(found) != len(sizes) or not whole:
        raise InvalidRequest(f"{given!r} is no {what}", advice=f"Give an index for each of {', '.join(names)}.")
    for index, size, name in zip(found, sizes, names, strict=True):
        if not 0 <= index < size:
            raise InvalidRequest(
                f"{what} {given!r} lies outside: there are {size} along {name}", advice="Indices begin at 0."
            )
    return tuple(int(each) for each in found)
