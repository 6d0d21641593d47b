"""P9: the next slice in the viewer, in JupyterLab and a real browser; P9w is the same of a change of the window.

A way is timed from the event to the picture on the canvas, or to the image that is loaded, without the wait for the
screen that follows in each. The mark is 5 ms and no message to the kernel: it is one of time, since the hand waits
for it. JupyterLab, its pages and the scripts that move our viewer are those of the tests (tests/lab.py, viewing.py).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from . import peers
from .harness import LeftOut, Row, Timed, Way

SLICES, MOVES = 100, 9  # moves of each call
CENTRE, WIDTH, STEP = 40, 400, 20  # of the window, and of its slider
VALUES = f"""
import numpy as np
values = np.random.default_rng(1).integers(-30, 30, ({SLICES}, 512, 512), dtype=np.int16)
values[:, 206:306, 206:306] = ({CENTRE} + 120 * (np.arange({SLICES}) % 3 - 1))[:, None, None]
"""
OURS = f"""
import dicomlab as dl, xarray as xr
ct = xr.DataArray(values, dims=("z", "y", "x"), attrs={{"WindowCenter": {CENTRE}.0, "WindowWidth": {WIDTH}.0}})
viewer = dl.view(ct, crosshair=False, height=600)
viewer
"""
SLIDERS = f"""
import ipywidgets, matplotlib.pyplot as plt
which = ipywidgets.IntSlider({SLICES // 2}, 0, {SLICES - 1})
centre = ipywidgets.IntSlider({CENTRE}, -500, 500, {STEP})
def limits():
    return dict(vmin=centre.value - {WIDTH // 2}, vmax=centre.value + {WIDTH // 2})
def draw():
    figure = plt.figure(figsize=(5.12, 5.12), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes.imshow(values[which.value], cmap="gray", **limits())
"""
IPYMPL = """
%matplotlib widget
figure, image = draw()
figure.canvas.toolbar_visible = figure.canvas.header_visible = figure.canvas.footer_visible = False
def moved(_):
    image.set_data(values[which.value])
    image.set_clim(**limits())
    figure.canvas.draw_idle()
for slider in (which, centre):
    slider.observe(moved, "value")
ipywidgets.VBox([which, centre, figure.canvas])
"""
PICTURES = """
%matplotlib inline
from IPython.display import display
output = ipywidgets.Output()
def moved(_):
    with output:
        output.clear_output(wait=True)
        figure, _ = draw()
        display(figure)
        plt.close(figure)
for slider in (which, centre):
    slider.observe(moved, "value")
moved(None)
ipywidgets.VBox([which, centre, output])
"""
#: `drawn` is told of every canvas of the page that is drawn, and of every image that is loaded.
WATCH = """() => {
    const {prototype} = CanvasRenderingContext2D, {drawImage} = prototype;
    prototype.drawImage = function (...given) {
        drawImage.apply(this, given);
        if (this.canvas.isConnected) window.drawn?.(this.canvas);
    };
    document.addEventListener("load", ({target}) => target.tagName === "IMG" && window.drawn?.(target), true);
}"""
#: Milliseconds of each key on a slider, until the middle of the picture has the level that is to come.
MOVE = """async ([slider, key, levels]) => {
    const handle = document.querySelectorAll(".noUi-handle")[slider], times = [];
    const probe = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const middle = picture => {
        const [width, height] = [picture.naturalWidth ?? picture.width, picture.naturalHeight ?? picture.height];
        probe.drawImage(picture, width >> 1, height >> 1, 1, 1, 0, 0, 1, 1);
        return probe.getImageData(0, 0, 1, 1).data[0];
    };
    for (const level of levels) {
        times.push(await new Promise((done, fail) => {
            let seen = "no picture";
            setTimeout(() => fail(new Error(`level ${level} did not come, but ${seen}`)), 20000);
            const start = performance.now();
            window.drawn = picture => {
                seen = middle(picture);
                if (Math.abs(seen - level) <= 2) done(performance.now() - start);
            };
            handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
        }));
    }
    window.drawn = null;
    return times;
}"""


class Ours:
    """The page of our viewer."""

    def __init__(self, open_notebook: Callable[..., Any]) -> None:
        self.scripts = _tests("viewing")
        self.notebook = open_notebook(VALUES, OURS)
        self.viewed = self.scripts.Viewed(self.notebook)
        self.viewed.press("n")  # voxels as they are, without smoothing
        self.way = -1

    def scroll(self) -> list[float]:
        """There, and the next time back."""
        self.way = -self.way
        return self._timed(self.scripts.WHEEL, [0, self.way * MOVES])

    def window(self) -> list[float]:
        return self._timed(self.scripts.WINDOW, 0)

    def _timed(self, script: str, argument: object) -> list[float]:
        """The script throws where the kernel is told while the hand moves; when it rests, the kernel is."""
        times: list[float] = self.viewed.page.evaluate(script, argument)
        (number, *_), window = self.viewed.state("cursor"), self.viewed.state("window")
        level = self.scripts.grey(value(number), *window)[0]
        shown = self.viewed.pixel(number, 256, 256)[0]
        assert abs(shown - level) <= 1, f"slice {number} shows {shown}, not {level}"
        self.notebook.until("[viewer.index, list(viewer.window)]", [number, window])
        return times


class Sliders:
    """The page of a peer: a slider for the slice, one for the centre of the window, and the picture."""

    def __init__(self, open_notebook: Callable[..., Any], draw: str) -> None:
        self.page = open_notebook(VALUES, SLIDERS, draw).page
        self.page.locator(".noUi-handle").nth(1).wait_for()
        self.page.evaluate(WATCH)
        self.grey = _tests("viewing").grey
        self.way = -1

    def scroll(self) -> list[float]:
        """There, and the next time back."""
        at = range(SLICES // 2, SLICES // 2 + MOVES + 1)
        return self._timed(0, [self.grey(value(number), CENTRE, WIDTH)[0] for number in at])

    def window(self) -> list[float]:
        at = range(CENTRE, CENTRE + (MOVES + 1) * STEP, STEP)
        return self._timed(1, [self.grey(value(SLICES // 2), centre, WIDTH)[0] for centre in at])

    def _timed(self, slider: int, levels: list[int]) -> list[float]:
        self.way = -self.way
        key, coming = ("ArrowRight", levels[1:]) if self.way > 0 else ("ArrowLeft", levels[-2::-1])
        times: list[float] = self.page.evaluate(MOVE, [slider, key, coming])
        return times


def value(number: int) -> int:
    """What the middle of a slice holds."""
    return CENTRE + 120 * (number % 3 - 1)


def row(name: str, job: str, move: Callable[[Any], list[float]]) -> Row:
    """One thing that the hand does, on every page; a page is opened when its way is first measured."""

    @contextmanager
    def prepare() -> Iterator[list[Way]]:
        with lab() as open_notebook:

            @cache
            def ours() -> Ours:
                return Ours(open_notebook)

            @cache
            def ipympl() -> Sliders:
                peers.module("ipympl")
                return Sliders(open_notebook, IPYMPL)

            @cache
            def pictures() -> Sliders:
                return Sliders(open_notebook, PICTURES)

            def way(name: str, page: Callable[[], Any], most: float | None = None) -> Way:
                def run(timed: Timed) -> None:
                    timed.wall = statistics.median(move(page())) / 1000

                return Way(name, run, most=most)

            yield [
                way("dicomlab", ours, most=0.005),
                way("ipympl, set_data and draw_idle", ipympl),
                way("matplotlib, PNG in an Output", pictures),
            ]

    make: Callable[[], AbstractContextManager[list[Way]]] = prepare
    return Row(name, f"{job}: {SLICES} slices of 512 x 512, from the event to the picture", make)


@contextmanager
def lab() -> Iterator[Callable[..., Any]]:
    """A JupyterLab of its own and a Chromium: ``open_notebook(*cells)`` is a page on which those cells have run."""
    chromium, tests = peers.program("chromium"), _tests("lab")
    for name in ("jupyterlab", "playwright"):
        peers.module(name)
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        server = tests.Server(Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))))
        stack.callback(server.stop)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=list(tests.FLAGS), headless=True)
        stack.callback(browser.close)
        numbers = iter(range(100))

        def open_notebook(*cells: str) -> Any:
            path = server.write(f"page{next(numbers)}.ipynb", cells)
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            notebook = tests.Notebook(page, server, path)
            notebook.run_all()
            return notebook

        yield open_notebook


def _tests(name: str) -> ModuleType:
    """A module of tests/ that no test is in."""
    folder = str(peers.ROOT / "tests")
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return import_module(name)
    except ImportError as error:
        raise LeftOut(f"{error.name} is not installed (pip install -e '.[dev]')") from None


ROW = row("P9", "the next slice in the viewer", lambda page: page.scroll())
