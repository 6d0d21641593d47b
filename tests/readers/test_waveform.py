"""Waveforms: samples in physical units, one array for each multiplex group (PS3.3 C.10.9)."""

from __future__ import annotations

import doctest
import hashlib
import json

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning, UnknownName
from dicomlab.readers import waveform
from dicomlab.widgets.viewing import view

ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"


def code(value, meaning, scheme="UCUM"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def channel(name, sensitivity=2.0, correction=1.5, baseline=10.0, unit="uV", **attributes):
    item = Dataset()
    item.ChannelSourceSequence = [code(name, f"Lead {name}", "X")]
    if sensitivity is not None:
        item.ChannelSensitivity = sensitivity
        item.ChannelSensitivityUnitsSequence = [code(unit, unit)]
        item.ChannelSensitivityCorrectionFactor, item.ChannelBaseline = correction, baseline
    item.WaveformBitsStored = 16
    for keyword, value in attributes.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    return item


def group(samples, channels, kind="SS", **attributes):
    item = Dataset()
    item.WaveformOriginality, item.SamplingFrequency = "ORIGINAL", 500
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = len(channels), len(samples)
    item.ChannelDefinitionSequence = channels
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 8 * samples.dtype.itemsize, kind
    data = samples.tobytes()
    item.add_new(0x54001010, "OB" if samples.dtype.itemsize == 1 else "OW", data + b"\0" * (len(data) % 2))
    for keyword, value in attributes.items():
        if keyword == "WaveformPaddingValue":
            item.add_new(0x5400100A, "OW", value)
        elif value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    return item


def ecg(*groups, number=1, annotations=()):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = ECG, f"1.2.5.{number}", "ECG"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P1", "1.2.1", "1.2.2"
    dataset.SeriesNumber, dataset.SpecificCharacterSet = 3, "ISO_IR 192"
    dataset.WaveformSequence = list(groups)
    if annotations:
        dataset.WaveformAnnotationSequence = list(annotations)
    return dataset


SAMPLES = np.array([[1, -1], [2, -2], [3, -3]], "<i2")


def test_samples_are_in_physical_units_with_names_rate_and_skew(tmp_path):  # SPEC 12, waveforms
    channels = [channel("I"), channel("II", 0.5, 1.0, -1.0, "mV", ChannelSampleSkew="2", ChannelLabel="second")]
    channels[1].FilterLowFrequency = 0.05
    item = group(SAMPLES, channels, MultiplexGroupLabel="RHYTHM", MultiplexGroupTimeOffset=40)
    found = load(slices.write(tmp_path, [ecg(item)]))
    samples = found["RHYTHM"]
    assert samples.dims == ("channel", "time") and samples.dtype == np.float32
    assert samples.values.tolist() == [[13, 16, 19], [-1.5, -2, -2.5]]
    assert samples.channel.values.tolist() == ["Lead I", "second"] and samples.units.values.tolist() == ["uV", "mV"]
    assert samples.attrs["units"] == "" and samples.attrs["SamplingFrequency"] == 500
    assert samples.time.values == pytest.approx([0.04, 0.042, 0.044])
    assert samples.skew.values.tolist() == [0, 0.004] and samples.filter_low.values[1] == 0.05
    assert samples.attrs["PatientID"] == "P1"
    assert "RHYTHM" in repr(found) and "2 channels x 3 samples, 500 Hz" in repr(found)


@pytest.mark.parametrize(
    ("kind", "form", "stored"),
    [
        ("SB", "i1", [-128, 0, 127]), ("UB", "u1", [0, 128, 255]), ("SS", "<i2", [-32768, 0, 32767]),
        ("US", "<u2", [0, 1, 65535]), ("SL", "<i4", [-(2**31), 0, 2**31 - 1]), ("UL", "<u4", [0, 1, 2**32 - 1]),
        ("SV", "<i8", [-(2**40), 0, 2**40]), ("UV", "<u8", [0, 1, 2**50]),
    ],
)  # fmt: skip
def test_samples_of_every_width_and_sign(tmp_path, kind, form, stored):
    item = group(np.array(stored, form).reshape(-1, 1), [channel("I", 0.5, 1.0, 0.0)], kind)
    found = load(slices.write(tmp_path, [ecg(item)]))["group 1"]
    assert found.values[0].tolist() == [value / 2 for value in stored]


@pytest.mark.parametrize(
    ("kind", "codes", "values"),
    [("MB", [0x00, 0x7F, 0xFF, 0x80, 0xEF, 0x6F], [-8031, 0, 0, 8031, 33, -33]),
     ("AB", [0x2A, 0xAA, 0xD5, 0x55, 0xC5], [-4032, 4032, 1, -1, 33])],
)  # fmt: skip
def test_companded_samples_are_made_linear(tmp_path, kind, codes, values):  # ITU-T G.711
    item = group(np.array(codes, "u1").reshape(-1, 1), [channel("audio", None)], kind)
    assert load(slices.write(tmp_path, [ecg(item)]))["group 1"].values[0].tolist() == values


def test_a_channel_without_sensitivity_is_as_stored_and_padding_is_no_sample(tmp_path):
    item = group(SAMPLES, [channel("I", None), channel("II", 1.0, 1.0, 0.0)], WaveformPaddingValue=b"\x02\x00")
    found = load(slices.write(tmp_path, [ecg(item)]))["group 1"]
    np.testing.assert_array_equal(found.values, [[1, np.nan, 3], [-1, -2, -3]])
    assert found.units.values.tolist() == ["", "uV"]


def test_a_missing_correction_or_baseline_is_said(tmp_path):
    channels = [channel("I", ChannelBaseline=None), channel("II", ChannelSensitivityCorrectionFactor=None)]
    path = slices.write(tmp_path, [ecg(group(SAMPLES, channels))])
    with pytest.warns(ResultWarning, match="is missing and taken as") as caught:
        found = load(path)
    assert len(caught) == 2 and found["group 1"].values[:, 0].tolist() == [3, 8]


def test_several_groups_are_one_waveform_and_names_are_told_apart(tmp_path):
    first = group(SAMPLES, [channel("I"), channel("I")], MultiplexGroupLabel="A")
    found = load(slices.write(tmp_path, [ecg(first, group(SAMPLES[:2], [channel("I"), channel("V")]), first)]))
    assert list(found) == ["A", "group 2", "A (3)"] and found["group 2"].shape == (2, 2)
    assert found["A"].channel.values.tolist() == ["Lead I", "Lead I (2)"]


def test_annotations_are_a_table_with_times(tmp_path):
    point, measured, text = Dataset(), Dataset(), Dataset()
    point.ConceptNameCodeSequence = [code("5.10.3-1", "P Onset", "SCPECG")]
    point.ReferencedWaveformChannels, point.TemporalRangeType = [1, 2], "POINT"
    point.ReferencedSamplePositions = 3
    measured.ConceptNameCodeSequence, measured.NumericValue = [code("RR", "RR Interval", "X")], "982"
    measured.MeasurementUnitsCodeSequence, measured.ReferencedWaveformChannels = [code("ms", "ms")], [1, 0]
    text.UnformattedTextValue, text.ReferencedWaveformChannels = "Rhythmus für sich", [9, 1]
    item = group(SAMPLES, [channel("I"), channel("II")])
    table = load(slices.write(tmp_path, [ecg(item, annotations=[point, measured, text])])).annotations
    assert table.concept.tolist() == ["P Onset", "RR Interval", ""]
    assert table.channels.tolist() == [["Lead II"], [], []] and table.time.tolist() == [[0.004], [], []]
    assert table.value[1] == 982 and table.unit[1] == "ms" and table.text[2] == "Rhythmus für sich"


def test_big_endian_samples(tmp_path):
    item = group(SAMPLES.astype(">i2"), [channel("I"), channel("II")])
    dataset = ecg(item)
    paths = slices.write(tmp_path, [dataset], ExplicitVRBigEndian)
    assert load(paths)["group 1"].values[0].tolist() == [13, 16, 19]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"NumberOfWaveformSamples": 4}, "WaveformData ends after 12 of 16 bytes"),
        ({"NumberOfWaveformSamples": 0}, "channels of 0 samples"),
        ({"NumberOfWaveformChannels": 3}, "3 channels of 3 samples, 2 are defined"),
        ({"SamplingFrequency": 0}, "SamplingFrequency is 0.0"),
        ({"SamplingFrequency": None}, "SamplingFrequency is None"),
        ({"WaveformSampleInterpretation": "XX"}, "as XX are not known"),
        ({"WaveformBitsAllocated": 24}, "samples of 24 bits as SS"),
    ],
)
def test_a_broken_one_costs_one_file(tmp_path, change, why):  # R12.9
    channels = [channel("I"), channel("II")]
    paths = slices.write(tmp_path, [ecg(group(SAMPLES, channels, **change)), ecg(group(SAMPLES, channels), number=2)])
    with pytest.raises(BadFile, match=why):
        load(paths[0])
    found = load_all(paths)
    assert len(found) == 1 and found.report.why.str.contains(why).tolist() == [True]


def test_one_without_groups_is_broken(tmp_path):
    with pytest.raises(BadFile, match="WaveformSequence has no items"):
        load(slices.write(tmp_path, [ecg()]))


def test_an_ecg_agrees_with_another_program():
    path = shared("data/waveform_ecg/waveform_ecg.dcm")
    known = json.loads(shared("data/truth/_objects.json").read_text())["WAVEFORM"]["waveform_ecg/waveform_ecg.dcm"]
    found = load(path)
    for samples, truth in zip(found.values(), known, strict=True):
        assert samples.shape == (truth["channels"], truth["samples"])
        assert samples.channel.values.tolist() == truth["labels"] and samples.units.values.tolist() == truth["units"]
        assert samples.attrs["SamplingFrequency"] == truth["sampling_hz"]
        limits = np.stack([samples.min("time"), samples.max("time")], 1)
        np.testing.assert_array_equal(limits, truth["scaled_min_max_per_channel"])
        raw = np.ascontiguousarray((samples.values / 1.25).round().T.astype("<i2"))
        assert hashlib.sha256(raw.tobytes()).hexdigest() == truth["raw_sha256"]
    assert len(found.annotations) == 77


def test_the_examples_hold():
    assert doctest.testmod(waveform).failed == 0


def test_a_wrong_group_is_answered_with_those_there_are(tmp_path):
    found = load(slices.write(tmp_path, [ecg(group(SAMPLES, [channel("I"), channel("V")], MultiplexGroupLabel="A"))]))
    with pytest.raises(UnknownName, match=r"no multiplex group named 'B'\. There is 'A'"):
        found["B"]
    assert "B" not in found and found.get("B") is None and isinstance(UnknownName("B", []), KeyError)


def test_a_waveform_is_drawn_a_line_for_each_channel_in_its_units_over_time(tmp_path):  # R15.5
    channels = [channel("I"), channel("II", 0.5, 1.0, -1.0, "mV")]
    first = group(SAMPLES, channels, MultiplexGroupLabel="RHYTHM", MultiplexGroupTimeOffset=40)
    found = load(slices.write(tmp_path, [ecg(first, group(SAMPLES, channels))]))
    figure = view(found)
    said = [text.get_text() for text in figure.texts]
    assert {"Lead I\nuV", "Lead II\nmV", "time (s)", "research use, not for diagnosis"} <= set(said)
    assert "2 channels   ·   3 samples   ·   500 Hz   ·   the first group; others: group 2" in said
    for axes, samples in zip(figure.axes, found["RHYTHM"], strict=True):
        (line,) = axes.lines
        assert line.get_xdata().tolist() == samples.time.values.tolist()
        assert line.get_ydata().tolist() == samples.values.tolist()
    assert len(view(found["group 2"], slices=1).axes) == 1 and len(view(found["group 2"].T).axes) == 2
    with pytest.raises(InvalidRequest, match="has no window"):
        view(found, window="lung")
    with pytest.raises(InvalidRequest, match="waveform has no choice 'slice', did you mean 'slices'"):
        view(found, slice=3)
    with pytest.raises(InvalidRequest, match="no samples left"):
        view(found["RHYTHM"][:, :0])


def test_of_a_long_waveform_no_peak_is_lost(tmp_path):
    stored = np.zeros((100_003, 1), "<i2")
    stored[54_321], stored[-1] = 900, -700
    found = load(slices.write(tmp_path, [ecg(group(stored, [channel("I", 1.0, 1.0, 0.0)]))]))
    drawn = view(found).axes[0].lines[0].get_ydata()
    assert len(drawn) < 10_000 and drawn.max() == 900 and drawn.min() == -700
