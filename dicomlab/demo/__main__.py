"""The main job, told step by step on the embedded PACS: `python -m dicomlab.demo`, or `make demo`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from time import perf_counter

OUTPUT = Path("demo-output")
stopped: list[bool] = []


def step(text: str, began: float) -> None:
    """What was done and how long it took; the end where Ctrl-C came meanwhile."""
    if stopped:
        raise KeyboardInterrupt
    print(f"\n{text}  [{(perf_counter() - began) * 1000:.0f} ms]")


def main() -> int:
    """Tell it, and end quietly where nobody reads on (``| head``) or Ctrl-C stops it."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        story()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return 0
    except BaseException:
        if not stopped:
            raise
        print("\nstopped; the embedded PACS has ended, and what it had received is gone", file=sys.stderr)
        return 130
    return 0


def _interrupted(*_: object) -> None:
    """Ctrl-C: a query under way gives its rows so far and a retrieve its own error, both meaning this."""
    warnings.simplefilter("ignore")
    threading.excepthook = lambda _: None  # the PACS ends in the middle of its work
    stopped.append(True)
    raise KeyboardInterrupt


def story() -> None:
    whole = perf_counter()
    print("dicomlab: query, filter, retrieve, volume, picture.")
    print("Synthetic patients and pydicom's samples; research use, not a medical device, not for diagnosis.")

    import numpy as np
    import pandas as pd

    import dicomlab as dl

    pd.set_option("display.width", 120, "display.max_columns", 12, "display.max_colwidth", 28)
    pd.set_option("display.unicode.east_asian_width", True)  # else Japanese names push the columns aside

    began = perf_counter()
    with dl.demo_pacs() as pacs:
        seconds = pacs.echo()
        step("pacs = dl.demo_pacs()", began)
        print(f"a PACS in this process, with {seconds * 1000:.1f} ms to an answer: {pacs}")

        began = perf_counter()
        series = pacs.find("SERIES", StudyDate="20230101-20241231")
        step('series = pacs.find("SERIES", StudyDate="20230101-20241231")', began)
        print(f"{len(series)} series, one row each, in a pandas DataFrame; some of its {series.shape[1]} columns:")
        columns = ["PatientName", "StudyDate", "Modality", "SeriesDescription"]
        counts = ["NumberOfSeriesRelatedInstances"]
        print(series[columns + counts].rename(columns={counts[0]: "instances"}).head(12).to_string())

        began = perf_counter()
        ct = series[(series.Modality == "CT") & (series.NumberOfSeriesRelatedInstances > 20)]
        step('ct = series[(series.Modality == "CT") & (series.NumberOfSeriesRelatedInstances > 20)]', began)
        print(f"{len(ct)} of {len(series)} series; rows of it go back to the PACS as they are")

        began = perf_counter()
        instances = pacs.retrieve(ct.head(1))
        step("instances = pacs.retrieve(ct.head(1))", began)
        print(f"{len(instances)} instances came by DICOM and were checked, again one row each; the first three:")
        print(instances[["InstanceNumber", "ImagePositionPatient", "Rows", "Columns"]].head(3).to_string())

        began = perf_counter()
        volume = dl.load(instances)
        step("volume = dl.load(instances)", began)
        print("an array with the patient's coordinates in mm and values in their unit:")
        with np.printoptions(threshold=1, edgeitems=1):
            print(volume)

        began = perf_counter()
        OUTPUT.mkdir(exist_ok=True)
        picture = OUTPUT / "volume.png"
        dl.view(volume).figure().savefig(picture)
        step(f'dl.view(volume).figure().savefig("{picture}")', began)

    print(f"\nAll of it in {perf_counter() - whole:.1f} s. Look at {picture.resolve()}")
    print("Where to go next:")
    print('  dl.connect("AET@host:port")    your own archive instead of dl.demo_pacs(); see README.md')
    if Path("Makefile").exists():  # in the project's folder, and not from an installed wheel
        print("  make lab      JupyterLab on notebooks/01_query_retrieve_view.ipynb, the same story to play with")
        print("  make test     the tests")


if __name__ == "__main__":
    sys.exit(main())
