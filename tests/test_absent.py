"""Packages that are not there: another process in which importing them fails, whatever is installed here."""

from __future__ import annotations

import json
import subprocess
import sys

import coded
import numpy as np
import slices
from support import ROOT

CODECS = ("imagecodecs", "pylibjpeg", "openjpeg", "libjpeg", "rle", "gdcm", "jpeg_ls", "PIL")
WITHOUT = """
import json, sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ABSENT else super().find_spec(name, path, target)

ABSENT, paths = json.loads(sys.argv[1])
sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
import dicomlab as dl
said = {}
for name, path in paths.items():
    try:
        volume = dl.load(path)
        said[name] = "x".join(map(str, volume.shape))
        if name == "plain":
            for form in ("nibabel", "sitk"):
                try:
                    getattr(volume.dicom, f"to_{form}")()
                except dl.errors.DicomlabError as error:
                    said[form] = [type(error).__name__, str(error)]
            try:
                dl.load(path, chunks={})
            except dl.errors.DicomlabError as error:
                said["dask"] = [type(error).__name__, str(error)]
    except dl.errors.DicomlabError as error:
        said[name] = [type(error).__name__, str(error)]
found = dl.load_all(list(paths.values()))
said["all"] = [len(found), [line.why for line in found.report.itertuples() if line.severity == "error"]]
print(json.dumps(said))
"""


def without(absent, paths):
    """What a process says that has not these packages."""
    told = json.dumps([list(absent), {name: str(path) for name, path in paths.items()}])
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, told]
    return json.loads(subprocess.check_output(command, cwd=ROOT, text=True))


def files(folder):
    values = coded.picture(np.uint16, 12)

    def one(name, syntax, data):
        made = coded.dataset(values, 12, SeriesInstanceUID=f"1.2.{len(name)}.{syntax}", SOPInstanceUID=f"1.3.{syntax}")
        return coded.encapsulated(folder / name, made, syntax, [data])

    plain = slices.image(values.astype(np.int16), (0, 0, 0), 1, RescaleIntercept=0)
    dataset = coded.dataset(values, 12, SeriesInstanceUID="1.2.99", SOPInstanceUID="1.3.99")
    slices.write(folder / "rle-plain", [dataset])
    dataset.compress(coded.RLE, encoding_plugin="pydicom", generate_instance_uid=False)
    return {
        "plain": slices.write(folder / "plain", [plain])[0],
        "rle": slices.write(folder / "rle", [dataset], coded.RLE)[0],
        "jpeg 2000": one("j2k", coded.JPEG_2000, coded.jpeg_2000(values, 12)),
        "jpeg xl": one("jxl", coded.JPEG_XL, coded.imagecodecs().jpegxl_encode(values, lossless=True)),
    }


def test_a_missing_codec_is_an_error_with_the_pip_line_and_the_others_load(tmp_path):  # R12.13
    said = without(CODECS, files(tmp_path))
    assert said["plain"] == "1x37x50" and said["rle"] == "1x37x50"  # pydicom has RLE itself
    for name, line in (
        ("jpeg 2000", "pip install pylibjpeg pylibjpeg-openjpeg"),
        ("jpeg xl", 'pip install "dicomlab[fast]"'),
    ):
        kind, text = said[name]
        assert kind == "MissingCodec" and "nothing installed decodes JPEG" in text and text.endswith(line), text
    loaded, errors = said["all"]
    assert loaded == 2 and len(errors) == 2 and all("pip install" in why for why in errors)


def test_a_missing_extra_is_an_error_with_the_pip_line(tmp_path):
    said = without(("nibabel", "SimpleITK", "dask"), {"plain": files(tmp_path)["plain"]})
    for name, extra in (("nibabel", "nifti"), ("sitk", "itk"), ("dask", "dask")):
        kind, text = said[name]
        assert kind == "MissingCodec" and text.endswith(f'pip install "dicomlab[{extra}]"'), text
