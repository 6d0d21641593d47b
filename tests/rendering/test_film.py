"""Films: what is rendered, where it lies on the page, and what is said of it (SPEC 9)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import slices
import xarray as xr
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.errors import GeometryError, InvalidRequest, ResultWarning
from dicomlab.rendering.filmlayout import Layout, film_size
from dicomlab.rendering.rendered import as_shown

GREY = np.arange(12, dtype=np.int16).reshape(3, 4)
COLOUR = get_testdata_file("SC_rgb_rle.dcm")


def pixels(what: object, **choices: object) -> np.ndarray:
    (one,) = dl.film(what, "1x1", **choices).images  # type: ignore[arg-type]
    return one.pixels


# -- rendering -------------------------------------------------------------------------------------------------------


def test_values_go_through_the_window_to_8_bits_exactly():  # R9.4
    assert pixels(np.array([[-160, 40, 240]]), window=(40, 400)).tolist() == [[0, 128, 255]]


def test_12_bits_go_up_to_4095():  # R9.4
    made = pixels(np.array([[0, 2047.5, 4095, 9000]]), window=(2047.5, 4095), bits=12)
    assert made.dtype == np.uint16 and made.tolist() == [[0, 2048, 4095, 4095]]


def test_monochrome1_is_the_same_picture_with_0_as_white():  # R9.4
    (one,) = dl.film(GREY, window=(5.5, 11), photometric="MONOCHROME1").images
    (two,) = dl.film(GREY, window=(5.5, 11)).images
    assert one.photometric == "MONOCHROME1" and np.array_equal(one.pixels, 255 - two.pixels)
    assert np.array_equal(as_shown(one), as_shown(two))


def test_a_stored_image_in_monochrome1_is_not_turned_twice(tmp_path):  # R9.4
    image = slices.image(np.array([[0, 1000]], np.uint16), (0, 0, 0), 1, PhotometricInterpretation="MONOCHROME1")
    image.RescaleIntercept, image.WindowCenter, image.WindowWidth = 0, 500, 1000
    slices.write(tmp_path, [image])
    assert pixels(tmp_path / "0000.dcm").tolist() == [[255, 0]]


def test_each_instance_has_its_own_window(tmp_path):  # R9.4
    stack = slices.stack([0.0, 1.0])
    for number, image in enumerate(stack):
        image.WindowCenter, image.WindowWidth = 100 * (number + 1), 50 + number
    paths = slices.write(tmp_path, stack)
    table = dl.film(paths, "1x2").table
    assert table[["centre", "width"]].values.tolist() == [[100, 50], [200, 51]]
    assert dl.film(paths, window=(7, 9)).table[["centre", "width"]].values.tolist() == [[7, 9]] * 2


def test_a_voi_lut_is_applied(tmp_path):  # R9.4
    image = slices.image(np.array([[0, 1, 2, 3, 9]], np.uint16), (0, 0, 0), 1)
    image.RescaleIntercept = 0
    item = Dataset()
    item.add_new(0x00283002, "US", [4, 0, 16])
    item.add_new(0x00283006, "OW", np.array([0, 65535, 0, 32768], "<u2").tobytes())
    image.VOILUTSequence = [item]
    image.WindowCenter, image.WindowWidth = 1, 2
    slices.write(tmp_path, [image])
    made = dl.film(tmp_path / "0000.dcm")
    assert made.images[0].pixels.tolist() == [[0, 255, 0, 128, 128]]
    assert made.table.lut.tolist() == ["VOI LUT"] and np.isnan(made.table.centre[0])
    assert pixels(tmp_path / "0000.dcm", window=(1.5, 3)).tolist() == [[0, 85, 170, 255, 255]]


def test_a_sigmoid_is_applied(tmp_path):  # R9.4
    image = slices.image(np.array([[0, 100, 1000]], np.uint16), (0, 0, 0), 1, VOILUTFunction="SIGMOID")
    image.RescaleIntercept, image.WindowCenter, image.WindowWidth = 0, 100, 100
    slices.write(tmp_path, [image])
    made = dl.film(tmp_path / "0000.dcm")
    assert made.images[0].pixels.tolist() == [[round(255 / (1 + np.exp(4))), 128, 255]] and made.images[0].lut


def test_pixels_that_are_not_square_are_said_to_the_printer_and_drawn_so():  # R9.4
    volume = xr.DataArray(np.zeros((4, 8, 8)), dims=("z", "y", "x"))
    volume = volume.assign_coords(z=np.arange(4) * 5.0, y=np.arange(8) * 2.0, x=np.arange(8) * 2.0)
    (one, *_) = dl.film(volume, axis="y", window=(0, 1)).images
    assert one.aspect == (5, 2)


def test_what_is_clipped_is_reported():  # R9.4
    made = dl.film(GREY, window=(5.5, 5))
    assert made.table.clipped[0] == pytest.approx(np.mean((GREY < 3) | (GREY > 8)), abs=1e-3)
    assert "values outside the window in 1 of 1 images, up to 50.0% of one" in repr(made)
    assert "clipped" not in repr(dl.film(GREY, window=(5.5, 11)))


def test_what_is_scaled_is_reported():  # R9.4
    made = dl.film(np.zeros((40, 20)), window=(0, 1), largest=10)
    assert made.images[0].pixels.shape == (10, 5) and made.table.changed[0] == "scaled from 40 x 20 to 10 x 5"
    made = dl.film(np.full((40, 20), 100.0), window=(50, 100), largest=10, bits=12)
    assert made.images[0].pixels.dtype == np.uint16 and set(made.images[0].pixels.ravel()) == {4095}
    assert dl.film(np.zeros((40, 20)), window=(0, 1), largest=40).table.changed[0] == ""


def test_nothing_is_burned_in_unless_it_is_asked_for():  # R9.4
    volume = np.zeros((2, 64, 64))
    assert not any(one.pixels.any() for one in dl.film(volume, window=(1, 2)).images)
    for text in (True, ["left", "right"]):
        for one in dl.film(volume, window=(1, 2), text=text).images:
            assert one.pixels[:32].max() == 0 and one.pixels[32:].max() == 255 and one.changed == "text burned in"
    with pytest.raises(InvalidRequest, match="3 texts for 2 images"):
        dl.film(volume, text=["a", "b", "c"])


def test_text_of_a_slice_is_its_place_and_no_name_of_anything(tmp_path):
    paths = slices.write(tmp_path, slices.stack([0.0, 1.0], SeriesDescription="DOE JANE"))
    assert [one.place for one in dl.film(paths, text=True).images] == ["z 0.0", "z 1.0"]


# -- colour ----------------------------------------------------------------------------------------------------------


def test_colour_makes_a_colour_film_and_grey_beside_it_is_rgb_too():  # R9.2
    made = dl.film([COLOUR, GREY], window=(5.5, 11))
    assert made.colour and [one.photometric for one in made.images] == ["RGB", "RGB"]
    assert np.array_equal(made.images[0].pixels, dcmread(COLOUR).pixel_array)
    assert made.images[1].pixels.shape == (3, 4, 3)


def test_a_colour_image_becomes_grey_where_it_is_asked_for_and_it_is_said():  # R9.2, R9.4
    made = dl.film(np.array([[[255, 0, 0], [0, 255, 0], [9, 9, 9]]], np.uint8), colour=False)
    assert not made.colour and made.images[0].pixels.tolist() == [[76, 150, 9]]  # ITU-R 601
    assert made.table.changed[0] == "colour to grey"


def test_grey_is_rgb_on_a_colour_film():
    assert pixels(GREY, window=(5.5, 11), colour=True)[0, :, 0].tolist() == [0, 23, 46, 70]


# -- where images come from ------------------------------------------------------------------------------------------


def test_volumes_tables_paths_data_sets_arrays_and_pictures_are_films(tmp_path):  # R9.4
    paths = slices.write(tmp_path, slices.stack([0.0, 1.0, 2.0]))
    volume, table = dl.load(paths), dl.scan(tmp_path)
    window = (0.0, 4000.0)
    wanted = [one.pixels.tolist() for one in dl.film(volume, window=window).images]
    assert len(wanted) == 3
    for same in (table, paths, tmp_path, [dcmread(path) for path in paths], volume.values, list(volume.values)):
        assert [one.pixels.tolist() for one in dl.film(same, window=window).images] == wanted
    picture = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert pixels(picture, window=(127.5, 255)).tolist() == np.asarray(picture).tolist()


def test_data_sets_come_in_the_order_of_their_place_and_with_their_own_windows(tmp_path):  # R9.4
    stack = slices.stack([2.0, 0.0, 1.0])
    for number, image in enumerate(stack):
        image.WindowCenter, image.WindowWidth = 100 * (number + 1), 50
    made = dl.film(stack)
    assert [one.place for one in made.images] == ["z 0.0", "z 1.0", "z 2.0"]
    assert made.table.centre.tolist() == [200, 300, 100]


def test_images_that_make_no_volume_are_printed_each_alone(tmp_path):
    stack = [slices.image(np.full((2, 2), 100 * n, np.uint16), (0, 0, 0), n) for n in (1, 2, 3)]
    paths = slices.write(tmp_path, stack)
    with pytest.raises(GeometryError):
        dl.load(paths)
    made = dl.film(paths, window=(-874, 300))
    assert [one.pixels[0, 0] for one in made.images] == [85, 170, 255]


def test_every_third_slice_is_in_the_middle_of_three():
    made = dl.film(np.arange(10.0)[:, None, None] * np.ones((10, 2, 2)), every=3, window=(4.5, 9))
    assert [one.place for one in made.images] == ["1 of 10", "4 of 10", "7 of 10", "10 of 10"]
    assert [one.place for one in dl.film(np.zeros((9, 2, 2)), every=3).images] == ["2 of 9", "5 of 9", "8 of 9"]


def test_of_several_volumes_in_one_each_is_laid_out():
    volume = xr.DataArray(np.zeros((2, 3, 4, 4)), dims=("time", "z", "y", "x"))
    made = dl.film(volume, window=(0, 1))
    assert len(made.images) == 6 and made.table.image[3] == "image, time 2, 1 of 3"


def test_what_is_no_image_is_said(tmp_path):
    for empty in ([], dl.scan(slices.write(tmp_path, slices.stack([0.0]))[0])[:0]):
        with pytest.raises(InvalidRequest, match="nothing is selected"):
            dl.film(empty)
    with pytest.raises(InvalidRequest, match="type int is no image"):
        dl.film(3)
    with pytest.raises(InvalidRequest, match=r"an array of shape \(2, 2, 2, 2\) .* is no image"):
        dl.film(np.zeros((2, 2, 2, 2)))
    with pytest.raises(InvalidRequest, match="Retrieve or scan first"):
        dl.film(pd.DataFrame({"SeriesInstanceUID": ["1.2"]}))
    with pytest.raises(InvalidRequest, match=r"no image is among these: .* \(Report\)"):
        dl.film(get_testdata_file("reportsi.dcm"))
    with pytest.raises(GeometryError):
        dl.film(xr.DataArray(np.zeros(4), dims="z"))
    with pytest.warns(ResultWarning, match=r"not all of it is printed: .*\(Report\)"):
        assert len(dl.film([get_testdata_file("reportsi.dcm"), get_testdata_file("CT_small.dcm")]).images) == 1


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"every": 0}, "every=0"),
        ({"bits": 10}, "8 or 12 bits"),
        ({"photometric": "RGB"}, 'It is "MONOCHROME2"'),
        ({"largest": 0}, "largest=0"),
        ({"window": "bonne"}, "did you mean 'bone'"),
        ({"layout": "3-4"}, 'Write "3x4" for 3 columns and 4 rows'),
        ({"layout": "11x11"}, "at most 100 images"),
        ({"FilmSizeId": "A4"}, "did you mean 'FilmSizeID'"),
        ({"FilmSizeID": "14x17in"}, "FilmSizeID='14x17in' is no value of it: .*capitals, digits"),
        ({"NumberOfCopies": "two"}, "NumberOfCopies='two' is no value of it"),
        ({"MediumType": "A" * 17}, "exceeds the maximum length of 16"),
        ({"FilmOrientation": "UPRIGHT"}, "one of PORTRAIT, LANDSCAPE"),
        ({"annotation": "ward 3"}, "annotation needs AnnotationDisplayFormatID"),
        ({"text": "ward 3"}, "one text an image"),
    ],
)
def test_a_wrong_choice_is_refused_in_words(choices, said):
    with pytest.raises(InvalidRequest, match=said.replace("(", r"\(")):
        dl.film(GREY, **choices)


def test_many_films_must_be_allowed():
    volume = np.zeros((100, 2, 2))
    with pytest.raises(InvalidRequest, match=r"100 images, 1 a page, make 100 films.*every=5.*limit=100"):
        dl.film(volume, "1x1")
    assert len(dl.film(volume, "1x1", every=5).pages) == 20
    assert len(dl.film(volume, "1x1", limit=100).pages) == 100
    assert len(dl.film(volume, "3x4").pages) == 9 and len(dl.film(volume, "3x4").pages[-1]) == 4


# -- layout ----------------------------------------------------------------------------------------------------------


def test_3x4_is_three_columns_and_four_rows_as_the_standard_writes_it():  # R9.3
    layout = Layout.of("3x4")
    assert layout.display_format == r"STANDARD\3,4" and layout == Layout.of(r"STANDARD\3,4")
    assert layout.boxes[0] == (0, 0, 1 / 3, 1 / 4) and layout.boxes[3] == (0, 1 / 4, 1 / 3, 1 / 4)


def test_rows_and_columns_of_different_numbers_are_laid_out():  # R9.3
    assert Layout.of(r"ROW\2,1").boxes == ((0, 0, 0.5, 0.5), (0.5, 0, 0.5, 0.5), (0, 0.5, 1, 0.5))
    assert Layout.of(r"COL\1,2").boxes == ((0, 0, 0.5, 1), (0.5, 0, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5))


@pytest.mark.parametrize(("images", "form"), [(1, "1,1"), (2, "1,2"), (3, "2,2"), (7, "3,3"), (12, "3,4"), (90, "4,5")])
def test_without_a_layout_a_usual_one_is_taken(images, form):
    assert dl.film(np.zeros((images, 2, 2))).layout.display_format == f"STANDARD\\{form}"


@pytest.mark.parametrize(
    ("size", "orientation", "mm"),
    [
        ("8INX10IN", "", (203.2, 254.0)),
        ("8INX10IN", "LANDSCAPE", (254.0, 203.2)),
        ("24CMX30CM", "PORTRAIT", (240.0, 300.0)),
        ("8_5INX11IN", "", (215.9, 279.4)),
        ("A4", "", (210.0, 297.0)),
        ("ODD", "", (355.6, 431.8)),
    ],
)
def test_the_size_of_a_film_is_known_by_its_id(size, orientation, mm):
    assert film_size(size, orientation) == pytest.approx(mm)


# -- preview ---------------------------------------------------------------------------------------------------------


def test_each_image_is_in_its_box_and_empty_boxes_are_empty():
    volume = np.array([10, 20, 30, 40, 50])[:, None, None] * np.ones((5, 10, 10))
    made = dl.film(volume, r"STANDARD\2,2", window=(127.5, 255))
    first, second = (np.asarray(made.preview(page, width=200)) for page in (1, 2))
    high = first.shape[0]
    assert first.shape == (round(200 * 17 / 14), 200)
    for row in (0, 1):
        for column in (0, 1):
            middle = first[high // 4 + row * high // 2, 50 + column * 100]
            assert middle == 10 * (1 + 2 * row + column)
    assert second[high // 4, 50] == 50 and second[3 * high // 4, 150] == 0


def test_an_image_is_as_large_as_its_box_and_keeps_its_shape():
    page = np.asarray(dl.film(np.full((10, 20), 255.0), "1x1", window=(127.5, 255), FilmSizeID="10INX10IN").preview())
    rows, columns = np.nonzero(page == 255)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert wide == 800 - 2 * 4 and tall == round(wide / 2) and rows.min() + rows.max() == 799


def test_what_the_printer_is_told_of_densities_and_polarity_is_seen():
    made = dl.film(
        np.full((10, 10), 200.0), "2x1", window=(127.5, 255), Polarity="REVERSE", BorderDensity="WHITE",
        EmptyImageDensity="30", FilmSizeID="10INX10IN",
    )  # fmt: skip
    page = np.asarray(made.preview(width=200))
    assert page[100, 50] == 55 and page[100, 150] == round(255 * 10**-0.3) and page[0, 0] == 255


def test_annotation_is_at_the_foot_of_the_preview():
    plain = dl.film(np.zeros((4, 4)), "1x1", window=(1, 2))
    made = dl.film(np.zeros((4, 4)), "1x1", window=(1, 2), annotation="ward 3", AnnotationDisplayFormatID="1")
    assert not np.asarray(plain.preview()).any()
    rows, _ = np.nonzero(np.asarray(made.preview()) > 128)
    assert rows.size and rows.min() > 0.9 * made.preview().height


def test_a_film_in_a_notebook_is_its_first_page_and_pages_are_counted_from_one():
    made = dl.film(np.zeros((3, 4, 4)), "1x2", window=(0, 1))
    assert made._repr_png_().startswith(b"\x89PNG")
    assert repr(made).splitlines()[1].split(maxsplit=1)[1] == "3 images on 2 pages"
    with pytest.raises(InvalidRequest, match="The film has pages 1 to 2"):
        made.preview(3)
    with pytest.raises(InvalidRequest, match="a preview of width 3"):
        made.preview(width=3)
