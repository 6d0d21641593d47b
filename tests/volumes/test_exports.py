"""Volumes in other libraries: every voxel at its place in the patient, or a refusal."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import slices
import xarray as xr
from support import shared

from dicomlab import load
from dicomlab.errors import GeometryError, InvalidRequest, MissingCodec

# Row and column direction: plain axial; feet first, prone (turned about two axes); sagittal; oblique about z and x.
TURNED = np.array([[0.9, 0.3, 0.31], [-0.28, 0.95, -0.1]])
TURNED[0] /= np.linalg.norm(TURNED[0])
TURNED[1] -= TURNED[1] @ TURNED[0] * TURNED[0]
TURNED[1] /= np.linalg.norm(TURNED[1])
DIRECTIONS = {
    "axial": [1, 0, 0, 0, 1, 0],
    "feet first prone": [-1, 0, 0, 0, -1, 0],
    "feet first": [-1, 0, 0, 0, 1, 0],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "oblique": [*TURNED.ravel()],
}


def files(folder, direction, heights=(0, 2.5, 5, 7.5), shear=0.0):
    """Slices along their normal; each voxel has a value of its own."""
    row, column = np.array(direction[:3], float), np.array(direction[3:], float)
    normal = np.cross(row, column)
    made = []
    for number, height in enumerate(heights):
        stored = (100 * number + np.arange(12)).reshape(4, 3).astype(np.int16)
        position = np.array([-31.5, 12.25, 77.0]) + height * (normal + shear * column)
        made.append(slices.image(stored, position, number + 1, RescaleIntercept=0))
        made[-1].ImageOrientationPatient = [round(float(value), 8) for value in direction]
    return slices.write(folder, made)


@pytest.fixture(params=DIRECTIONS)
def volume(request, tmp_path):
    return load(files(tmp_path / "dicom", DIRECTIONS[request.param]))


def changed(volume):
    """The volume, and what xarray makes of it without moving a voxel in the patient."""
    yield volume
    yield volume.isel(z=slice(None, None, -1), x=slice(1, None))
    yield volume.transpose("x", "z", "y")
    yield volume.isel(z=[2])


def by_nibabel(image):
    """Patient position (LPS, mm) of each value."""
    data = np.asarray(image.dataobj)
    found = {}
    for index in np.ndindex(data.shape):
        x, y, z, _ = image.affine @ [*index, 1]
        found[int(data[index])] = (-x, -y, z)
    return found


def by_sitk(image):
    import SimpleITK

    data = SimpleITK.GetArrayFromImage(image)
    return {
        int(data[k, j, i]): image.TransformIndexToPhysicalPoint((int(i), int(j), int(k)))
        for k, j, i in np.ndindex(data.shape)
    }


def by_us(volume):
    places = volume.dicom.position(*np.indices(volume.shape))
    return {int(value): tuple(place) for value, place in zip(volume.values.ravel(), places.reshape(-1, 3), strict=True)}


def apart(one, other):
    """The greatest distance between the places of the same value, mm."""
    assert one.keys() == other.keys()
    return max(np.linalg.norm(np.subtract(one[value], other[value])) for value in one)


def test_nibabel_has_every_voxel_where_it_is_in_the_patient(volume):
    pytest.importorskip("nibabel", reason="the extra nifti is not installed")
    for array in changed(volume):
        image = array.dicom.to_nibabel()
        assert apart(by_nibabel(image), by_us(array)) < 1e-4
        assert np.allclose(image.get_sform(), image.get_qform(), atol=1e-3) and image.header["sform_code"] == 1


def test_a_nifti_file_has_it_too(volume, tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra nifti is not installed")
    for name in ("a.nii", "a.nii.gz"):
        path = volume.dicom.to_nifti(tmp_path / name)
        assert apart(by_nibabel(nibabel.load(path)), by_us(volume)) < 1e-4
        assert nibabel.load(path).get_data_dtype() == volume.dtype
    with pytest.raises(InvalidRequest, match=r"a\.img names no NIfTI file"):
        volume.dicom.to_nifti(tmp_path / "a.img")
    with pytest.raises(InvalidRequest, match="there is no folder"):
        volume.dicom.to_nifti(tmp_path / "none" / "a.nii")
    for path in (None, 3, ["a.nii"]):
        with pytest.raises(InvalidRequest, match=r"is no path of a file. Name one"):
            volume.dicom.to_nifti(path)


def test_simpleitk_has_every_voxel_where_it_is_in_the_patient(volume):
    pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    for array in changed(volume):
        assert apart(by_sitk(array.dicom.to_sitk()), by_us(array)) < 1e-3


@pytest.mark.parametrize("name", DIRECTIONS)
def test_simpleitk_reads_the_same_places_from_the_files(tmp_path, name):
    itk = pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    paths = files(tmp_path, DIRECTIONS[name])
    reader = itk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    theirs = by_sitk(reader.Execute())
    assert apart(by_sitk(load(paths).dicom.to_sitk()), theirs) < 1e-3  # coordinates are multiples of 2**-12 mm


def test_a_netcdf_file_gives_the_same_volume_again(volume, tmp_path):
    pytest.importorskip("h5netcdf", reason="the extra netcdf is not installed")
    volume = volume.assign_attrs(ImageType=["ORIGINAL", "PRIMARY"])  # what SciPy's engine cannot write
    path = volume.dicom.to_netcdf(tmp_path / "ct.nc")
    back = xr.load_dataarray(path)
    assert back.identical(volume) and back.dtype == volume.dtype
    assert np.array_equal(back.dicom.affine, volume.dicom.affine)
    with pytest.raises(InvalidRequest, match=r"names no netCDF file\. Let it end in \.nc"):
        volume.dicom.to_netcdf(tmp_path / "ct.nii")


def test_without_h5netcdf_the_error_names_what_to_install(tmp_path):
    paths = files(tmp_path / "dicom", DIRECTIONS["axial"])
    code = (
        "import sys; sys.modules.update(h5netcdf=None)\n"
        f"import dicomlab as dl\nvolume = dl.load({[str(path) for path in paths]!r})\n"
        f"try: volume.dicom.to_netcdf({str(tmp_path / 'ct.nc')!r})\n"
        "except dl.errors.MissingCodec as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == 'h5netcdf is not installed. Run: pip install "dicomlab[netcdf]"', done.stderr
    assert not (tmp_path / "ct.nc").exists()


def test_netcdf_and_zarr_keep_every_voxel_at_its_place(volume, tmp_path):
    pytest.importorskip("h5netcdf", reason="the extra netcdf is not installed")
    volume.to_netcdf(tmp_path / "volume.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "volume.nc", engine="h5netcdf") as back:
        assert by_us(back) == by_us(volume) and back.dicom.same_grid(volume)
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    pytest.importorskip("dask", reason="the extra dask is not installed")
    second = {"zarr_format": 2} if zarr.__version__ >= "3" else {}  # zarr 2 knows no other
    volume.to_zarr(tmp_path / "volume.zarr", **second)
    with xr.open_dataarray(tmp_path / "volume.zarr", engine="zarr") as back:
        assert by_us(back) == by_us(volume) and back.dicom.same_grid(volume)


@pytest.mark.filterwarnings("ignore::dicomlab.errors.ResultWarning")
def test_a_sheared_volume_is_exact_in_nifti_and_refused_by_simpleitk(tmp_path):
    pytest.importorskip("nibabel", reason="the extra nifti is not installed")
    volume = load(files(tmp_path, DIRECTIONS["axial"], shear=0.3))
    image = volume.dicom.to_nibabel()
    assert apart(by_nibabel(image), by_us(volume)) < 1e-4
    assert image.header["qform_code"] == 0 and image.header["sform_code"] == 1
    pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    with pytest.raises(GeometryError, match=r"sheared \(gantry tilt\).*NIfTI carries it"):
        volume.dicom.to_sitk()


@pytest.mark.filterwarnings("ignore::dicomlab.errors.ResultWarning")
@pytest.mark.parametrize(
    ("method", "form", "module"), [("to_nibabel", "NIfTI", "nibabel"), ("to_sitk", "SimpleITK", "SimpleITK")]
)
def test_uneven_spacing_is_refused(tmp_path, method, form, module):
    pytest.importorskip(module, reason="the extra is not installed")
    volume = load(files(tmp_path, DIRECTIONS["axial"], heights=(0, 2.5, 7.5, 10)))
    said = rf"{form} cannot carry it: .*not uniform.*Resample it onto a regular grid"
    with pytest.raises(GeometryError, match=said):
        getattr(volume.dicom, method)()
    flat = volume.isel(z=0)
    with pytest.raises(GeometryError, match="needs the dimensions x, y and z"):
        getattr(flat.dicom, method)()


def test_a_dimension_in_front_is_the_fourth_and_time_has_its_step(volume):
    nibabel = pytest.importorskip("nibabel", reason="the extra nifti is not installed")
    seconds = xr.Variable("time", [0.0, 1500.0, 3000.0], {"units": "ms"})
    moved = xr.concat([volume, volume + 1, volume + 2], "time").assign_coords(time=seconds)
    image = moved.dicom.to_nibabel()
    assert image.shape == (3, 4, 4, 3) and image.header.get_zooms()[3] == 1.5
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert (moved.values == np.asarray(image.dataobj).T).all()
    two = moved.expand_dims(echo=[1, 2]).transpose("time", "echo", "z", "y", "x")
    assert two.dicom.to_nibabel().shape == (3, 4, 4, 3, 2)
    assert isinstance(image, nibabel.Nifti1Image)
    pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    fourth = moved.dicom.to_sitk()
    assert fourth.GetSize() == (3, 4, 4, 3)
    assert np.allclose(
        fourth.TransformIndexToPhysicalPoint((1, 2, 3, 0))[:3], volume.dicom.position(3, 2, 1), atol=1e-3
    )
    with pytest.raises(InvalidRequest, match="no room for echo and time"):
        two.dicom.to_sitk()


def test_colour_and_masks_have_a_type_that_the_others_know(tmp_path):
    pytest.importorskip("nibabel", reason="the extra nifti is not installed")
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    made = slices.image(picture, (0, 0, 0), 1, SamplesPerPixel=3, PlanarConfiguration=0)
    made.PhotometricInterpretation, made.RescaleSlope, made.RescaleIntercept = "RGB", None, None
    del made.RescaleSlope, made.RescaleIntercept
    volume = load(slices.write(tmp_path, [made]))
    data = np.asarray(volume.dicom.to_nibabel().dataobj)
    assert data.shape == (4, 2, 1) and data["G"][2, 1, 0] == picture[1, 2, 1]
    assert (volume.isel(channel=0) > 3).dicom.to_nibabel().get_data_dtype() == np.uint8
    assert volume.isel(channel=0).astype(np.int64).dicom.to_nibabel().get_data_dtype() == np.int16
    pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    image = volume.dicom.to_sitk()
    assert image.GetNumberOfComponentsPerPixel() == 3 and image.GetPixel(2, 1, 0) == tuple(picture[1, 2].tolist())


@pytest.mark.parametrize(
    ("method", "module", "line"),
    [("to_nibabel", "nibabel", "dicomlab[nifti]"), ("to_sitk", "SimpleITK", "dicomlab[itk]")],
)
def test_what_a_missing_library_says(volume, monkeypatch, method, module, line):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingCodec, match=rf"{module} is not installed\. Run: pip install") as caught:
        getattr(volume.dicom, method)()
    assert line in caught.value.advice


@pytest.mark.filterwarnings("ignore::dicomlab.errors.ResultWarning")
@pytest.mark.parametrize("name", ["mr_canon_dti_oblique_4d/In/12000_DTI_PA-AX_20d", "mr_sag_j2k_lossless"])
def test_dcm2niix_has_the_corners_at_the_same_places(tmp_path, name):
    nibabel = pytest.importorskip("nibabel", reason="the extra nifti is not installed")
    dcm2niix = pytest.importorskip("dcm2niix", reason="the extra bench is not installed")
    folder = shared("data") / name
    ours = load([path for path in folder.rglob("*.dcm") if path.is_file()]).dicom.to_nibabel()
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "v", "-o", str(tmp_path), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (theirs,) = (nibabel.load(path) for path in tmp_path.glob("v.nii"))

    def corners(image):
        ends = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape[:3]) - 1)
        return {tuple(np.round(image.affine @ [*end, 1], 1).tolist()) for end in ends}

    # dcm2niix turns rows round, and sagittal slices to the first dimension.
    assert sorted(ours.shape[:3]) == sorted(theirs.shape[:3]) and corners(ours) == corners(theirs)
