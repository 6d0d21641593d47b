"""Presentation states: which images, windows, areas and graphics, as tables (PS3.3 C.11)."""

from __future__ import annotations

import pytest
import slices
from pydicom.dataset import Dataset
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, InvalidRequest

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def images(*numbers, frames=()):
    made = [item(ReferencedSOPClassUID=slices.CT, ReferencedSOPInstanceUID=f"1.2.3.{number}") for number in numbers]
    for one in made:
        if frames:
            one.ReferencedFrameNumber = list(frames)
    return made


def state(number=1, referenced=(1, 2, 3), **attributes):
    dataset = item(
        SOPClassUID=GSPS, SOPInstanceUID=f"1.2.8.{number}", Modality="PR", PatientID="P1", StudyInstanceUID="1.2.1",
        SeriesInstanceUID=f"1.2.2.{number}", SeriesNumber=8, SpecificCharacterSet="ISO_IR 192", ContentLabel="LUNG",
        ContentDescription="<i>für</i> Lunge", PresentationLUTShape="IDENTITY",
        ReferencedSeriesSequence=[item(SeriesInstanceUID="1.2.2", ReferencedImageSequence=images(*referenced))],
    )  # fmt: skip
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def window(centre, width, *numbers, **attributes):
    made = item(WindowCenter=centre, WindowWidth=width, **attributes)
    if numbers:
        made.ReferencedImageSequence = images(*numbers)
    return made


def lut(explanation):
    return item(LUTDescriptor=[2, 0, 8], LUTExplanation=explanation, LUTData=b"\0\0\xff\0")


def test_a_state_names_its_images_and_what_it_does(tmp_path):  # SPEC 12, PR
    (path,) = slices.write(tmp_path, [state(
        SoftcopyVOILUTSequence=[window([-600, 40], [1500, 400], 1, 2, WindowCenterWidthExplanation=["lung", "soft"]),
                                item(VOILUTSequence=[lut("curve")], ReferencedImageSequence=images(3, frames=[2]))],
        PresentationLUTShape="INVERSE", ImageRotation=90, ImageHorizontalFlip="Y",
    )])  # fmt: skip
    found = load(path)
    assert found.label == "LUNG" and "<i>" not in found._repr_html_() and "2, and 1 VOI LUT" in repr(found)
    assert found.references.SOPInstanceUID.tolist() == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    assert found.references.SeriesInstanceUID.tolist() == ["1.2.2"] * 3
    table = found.windows
    assert table.centre.tolist()[:2] == [-600, 40] and table.width.tolist()[:2] == [1500, 400]
    assert table.explanation.tolist() == ["lung", "soft", "curve"] and table.lut.tolist() == [False, False, True]
    assert table.images.tolist() == [["1.2.3.1", "1.2.3.2"]] * 2 + [["1.2.3.3"]] and table.frames[2] == [2]
    assert found.transforms == ("presentation LUT INVERSE", "rotated by 90", "flipped")


def test_areas_and_graphics_are_tables(tmp_path):
    circle = item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicType="CIRCLE",
                  GraphicData=[10, 20, 15, 20], GraphicFilled="Y")  # fmt: skip
    text = item(UnformattedTextValue="Läsion <b>", AnchorPoint=[3.5, 4], AnchorPointAnnotationUnits="PIXEL")
    boxed = item(UnformattedTextValue="box", BoundingBoxAnnotationUnits="DISPLAY",
                 BoundingBoxTopLeftHandCorner=[0.1, 0.2], BoundingBoxBottomRightHandCorner=[0.3, 0.4])  # fmt: skip
    area = item(DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[3, 4],
                PresentationSizeMode="TRUE SIZE", PresentationPixelSpacing=[0.5, 0.25])  # fmt: skip
    (path,) = slices.write(tmp_path, [state(
        DisplayedAreaSelectionSequence=[area],
        GraphicAnnotationSequence=[item(GraphicLayer="A", ReferencedImageSequence=images(2),
                                        GraphicObjectSequence=[circle], TextObjectSequence=[text, boxed])],
    )])  # fmt: skip
    found = load(path)
    table = found.graphics
    assert table.kind.tolist() == ["CIRCLE", "TEXT", "TEXT"] and table.filled.tolist() == [True, False, False]
    assert [points.tolist() for points in table.points][:2] == [[[10, 20], [15, 20]], [[3.5, 4]]]
    assert table.points[2].ravel().tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert table.text.tolist() == ["", "Läsion <b>", "box"] and table.images.tolist() == [["1.2.3.2"]] * 3
    assert table.units.tolist() == ["PIXEL", "PIXEL", "DISPLAY"] and set(table.layer) == {"A"}
    assert found.areas.top_left[0] == (1, 1) and found.areas.spacing[0] == (0.5, 0.25)


@pytest.mark.parametrize(
    ("voi", "asked"),
    [([window(-600, 1500)], (-600, 1500)), ([window(-600, 1500, 1, 2), window(40, 400, 3)], None),
     ([window(-600, 1500, 1), window(-600, 1500, 2, 3)], (-600, 1500)), ([], None),
     ([item(VOILUTSequence=[lut("curve")])], None)],
)  # fmt: skip
def test_the_window_for_a_volume_is_given_where_it_is_one(tmp_path, voi, asked):
    volume = load(slices.write(tmp_path / "ct", slices.stack([0, 2, 4])))
    found = load(slices.write(tmp_path / "pr", [state(SoftcopyVOILUTSequence=voi)]))
    if asked:
        assert found.window(volume) == asked
        assert volume.dicom.montage(window=found.window(volume)).mode == "L"
    else:
        with pytest.raises(InvalidRequest, match="LUNG"):
            found.window(volume)


def test_one_image_of_many_has_its_own_window(tmp_path):
    volume = load(slices.write(tmp_path / "ct", slices.stack([0, 2, 4])))
    voi = [window(-600, 1500, 1, 2), window(40, 400, 3)]
    found = load(slices.write(tmp_path / "pr", [state(SoftcopyVOILUTSequence=voi)]))
    assert found.window(volume.isel(z=2)) == (40, 400) and found.window(volume[:2]) == (-600, 1500)


def test_a_state_for_other_images_gives_no_window(tmp_path):
    volume = load(slices.write(tmp_path / "ct", slices.stack([0, 2])))
    found = load(slices.write(tmp_path / "pr", [state(referenced=[7], SoftcopyVOILUTSequence=[window(1, 2)])]))
    with pytest.raises(InvalidRequest, match="other images"):
        found.window(volume)
    with pytest.raises(InvalidRequest, match="no longer names"):
        found.window(volume.drop_vars("SOPInstanceUID"))


def test_the_images_of_a_blending_state_are_of_two_studies(tmp_path):
    parts = [
        item(StudyInstanceUID=f"1.5.{number}", BlendingPosition="SUPERIMPOSED",
             ReferencedSeriesSequence=[item(SeriesInstanceUID=f"1.6.{number}",
                                            ReferencedImageSequence=images(number))],
             SoftcopyVOILUTSequence=[window(number, 10)])
        for number in (1, 2)
    ]  # fmt: skip
    dataset = state(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.4", BlendingSequence=parts)
    del dataset.ReferencedSeriesSequence
    found = load(slices.write(tmp_path, [dataset]))
    assert found.references.StudyInstanceUID.tolist() == ["1.5.1", "1.5.2"] and found.windows.centre.tolist() == [1, 2]


def test_a_broken_state_costs_one_file(tmp_path):  # R12.9
    paths = slices.write(tmp_path, [state(SoftcopyVOILUTSequence=[window(-600, 1500)]), state(2)])
    data = paths[0].read_bytes()
    at = data.index(b"\x28\x00\x50\x10DS") + 8
    paths[0].write_bytes(data[:at] + b"xx" + data[at + 2 :])
    with pytest.raises(BadFile, match="no value of VR DS"):
        load(paths[0])
    assert len(load_all(paths)) == 1


def test_published_states_are_read():
    tables = load(shared("data/presentation_states/img/prLUTs.dcm"))
    assert tables.references.SOPInstanceUID.tolist() == ["1.2.276.0.7230010.3.200.6.3.1"]
    assert tables.windows.explanation.tolist() == ["scrambled voi lut"] and tables.areas.bottom_right[0] == (512, 512)
    assert [text.split(" LUT ")[0] for text in tables.transforms] == ["modality", "presentation"]
    picture = load(shared("data/presentation_states/img/imageForPrLUTs.dcm"))
    with pytest.raises(InvalidRequest, match="by a table"):
        tables.window(picture)
    overlays = load(shared("data/presentation_states/img/prOverlay.dcm"))
    assert overlays.transforms == tuple(f"overlay 60{2 * n:02X} in LAYER{n + 1}" for n in range(6))
