"""The main job, told step by step on the embedded PACS: `python -m dicomlab.demo`, or `make demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

OUTPUT = Path("demo-output")


def step(text: str, began: float) -> None:
    print(f"\n{text}  [{(perf_counter() - began) * 1000:.0f} ms]")


def main() -> int:
    whole = perf_counter()
    print("dicomlab: query, filter, retrieve, volume, picture. Synthetic patients; not a medical device.")

    import pandas as pd

    import dicomlab as dl

    pd.set_option("display.width", 120, "display.max_columns", 12, "display.max_colwidth", 28)

    began = perf_counter()
    with dl.demo_pacs() as pacs:
        step(f"pacs = dl.demo_pacs()    a PACS in this process: {pacs.node.identity}", began)

        began = perf_counter()
        series = pacs.find("SERIES")
        step(f'series = pacs.find("SERIES")    {len(series)} series, a pandas DataFrame', began)
        columns = ["PatientName", "StudyDate", "Modality", "SeriesDescription"]
        counts = ["NumberOfSeriesRelatedInstances"]
        print(series[columns + counts].rename(columns={counts[0]: "instances"}).head(12).to_string())

        began = perf_counter()
        ct = series[(series.Modality == "CT") & (series.NumberOfSeriesRelatedInstances > 20)]
        step('ct = series[(series.Modality == "CT") & (series.NumberOfSeriesRelatedInstances > 20)]', began)
        print(f"{len(ct)} of {len(series)} series; rows of it go back to the PACS as they are")

        began = perf_counter()
        instances = pacs.retrieve(ct.head(1))
        step(f"instances = pacs.retrieve(ct.head(1))    {len(instances)} instances by DICOM, checked", began)
        print(instances[["SOPInstanceUID", "InstanceNumber", "ImagePositionPatient"]].head(3).to_string())

        began = perf_counter()
        volume = dl.load(instances)
        step("volume = dl.load(instances)    an xarray.DataArray in patient coordinates", began)
        print(volume)

        began = perf_counter()
        OUTPUT.mkdir(exist_ok=True)
        picture = OUTPUT / "volume.png"
        dl.view(volume).savefig(picture)
        step(f'dl.view(volume).savefig("{picture}")', began)

    print(f"\nAll of it in {perf_counter() - whole:.1f} s. Look at {picture.resolve()}")
    print("Where to go next:")
    print("  make lab      JupyterLab on notebooks/01_query_retrieve_view.ipynb, the same story to play with")
    print('  dl.connect("AET@host:port")    your own archive instead of dl.demo_pacs(); see README.md')
    print("  make test     the tests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
