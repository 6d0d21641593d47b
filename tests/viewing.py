"""The viewer on a page of JupyterLab: volumes to show, what its pixels are, and how long a change takes it."""

from __future__ import annotations

from typing import Any

VOLUMES = '''
import numpy as np, xarray as xr, dicomlab as dl
from dicomlab.geometry.positions import geometry_coordinate

def volume(values, spacing=(3.0, 2.0, 2.0), frame="1.2.3", matrix=np.eye(3), **attrs):
    """A CT of those values (..., z, y, x) around the patient's origin."""
    front = ("time", "echo")[: values.ndim - 3]
    coordinates = {
        name: (np.arange(size) - (size - 1) / 2) * step
        for name, size, step in zip("zyx", values.shape[-3:], spacing, strict=True)
    }
    coordinates["geometry"] = geometry_coordinate(np.asarray(matrix), frame, spacing[::-1])
    known = {"Modality": "CT", "units": "HU", "WindowCenter": 40.0, "WindowWidth": 400.0}
    return xr.DataArray(values, coordinates, (*front, *"zyx"), attrs=known | attrs)

k, j, i = np.ogrid[:24, :40, :40]
values = np.full((24, 40, 40), 40, np.int16)
values[:, 10:20, 20:30] = 1000                       # left and in front
values[:12, 25:35, 5:15] = -60                       # right, behind, in the lower half
ct = volume(values, SeriesDescription="<img src=x onerror=document.title='run'>")
'''
STATE = """number => {
    const viewer = document.querySelectorAll(".dlv")[number].dicomlab;
    viewer.draw();
    return viewer.state;
}"""
PIXEL = """([number, cursor]) => {
    const viewer = document.querySelectorAll(".dlv")[number].dicomlab, view = viewer.active;
    viewer.draw();
    const [x, y] = view.place(cursor);
    return [...view.canvas.getContext("2d").getImageData(Math.floor(x), Math.floor(y), 1, 1).data].slice(0, 3);
}"""


def _timed(arguments: str, count: str, event: str) -> str:
    """Events as fast as the browser can, each drawn; milliseconds of each, and an error if the kernel is told."""
    return f"""({arguments}) => {{
    const viewer = document.querySelectorAll(".dlv")[number].dicomlab, pane = viewer.active.root;
    const times = [], {{model}} = viewer;
    let told = 0;
    const count = () => {{ told++; }};
    viewer.model = {{...model, send: count, save_changes: count}};  // one stretch of script: no timer fires within
    for (let at = 0; at < {count}; at++) {{
        const start = performance.now();
        {event};
        viewer.draw();
        times.push(performance.now() - start);
    }}
    viewer.model = model;
    if (told) throw new Error(`the kernel was told ${{told}} times`);
    return times;
}}"""


#: Milliseconds of each notch of the wheel, from the event to the picture; it throws where the kernel is told.
WHEEL = _timed(
    "[number, notches]",
    "Math.abs(notches)",
    """pane.dispatchEvent(new WheelEvent("wheel", {deltaY: 120 * Math.sign(notches), bubbles: true}))""",
)
#: The same of forty changes of the window, by keys.
WINDOW = _timed(
    "number", "40", """pane.dispatchEvent(new KeyboardEvent("keydown", {key: at % 2 ? "]" : ",", bubbles: true}))"""
)


def grey(value: float, centre: float = 40, width: float = 400) -> list[int]:
    """What a voxel of that value looks like through a window."""
    level = round(max(0, min(255, ((value - centre) / width + 0.5) * 255)))
    return [level] * 3


class Viewed:
    """The viewer of a notebook, by its place on the page."""

    def __init__(self, notebook: Any, number: int = 0) -> None:
        self.notebook, self.page, self.number = notebook, notebook.page, number
        self.root = self.page.locator(".dlv").nth(number)
        self.root.locator(".dlv-panes").wait_for(timeout=20_000)
        self.page.wait_for_function(
            "number => document.querySelectorAll('.dlv')[number].dicomlab.voxels.progress === 1"
            " || !document.querySelectorAll('.dlv')[number].dicomlab.voxels.whole",
            arg=number,
            timeout=60_000,
        )

    def pixel(self, *cursor: int) -> list[int]:
        return self.page.evaluate(PIXEL, [self.number, list(cursor)])

    def state(self, name: str) -> Any:
        return self.page.evaluate(STATE, self.number)[name]

    def press(self, *keys: str) -> None:
        self.root.locator(".dlv-pane:visible").first.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, part: str) -> str:
        return self.root.locator(f".dlv-{part}").inner_text()

    def point(self, *cursor: int) -> tuple[float, float]:
        """Where a voxel of the visible plane is on the page."""
        return self.page.evaluate(
            """([number, cursor]) => {
                const view = document.querySelectorAll(".dlv")[number].dicomlab.active;
                const [x, y] = view.place(cursor), box = view.canvas.getBoundingClientRect();
                return [box.left + x / view.ratio, box.top + y / view.ratio];
            }""",
            [self.number, list(cursor)],
        )
