"""While options.phi is off, what is made holds pseudonyms: R0.6, DESIGN 8."""

from __future__ import annotations

import datetime as dt
import gc
import io
import logging
import pickle
import warnings

import numpy as np
import pandas as pd
import pydicom
import pytest
from coded import compressed
from pydicom.data import get_testdata_file

import dicomlab as dl
from dicomlab import phi
from dicomlab.errors import BadFile, DicomlabError, InvalidRequest, ResultWarning, StatusError
from dicomlab.status import Status

NAMES = ("ZIMBELSTERN", "Zimbelstern", "Q7-4711", "19471103", "1947-11-03", "Krummhorn", "Schalmei")


@pytest.fixture(autouse=True)
def hidden():
    """phi off, and nothing made before it."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        dl.options.phi = False
    yield
    dl.options.phi = True


@pytest.fixture
def planted(tmp_path):
    """A CT whose header and file name hold names."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "ZIMBELSTERN^Anna", "Q7-4711", "19471103"
    dataset.StudyDescription, dataset.SeriesDescription = "for Zimbelstern", "head, Dr Krummhorn"
    dataset.ReferringPhysicianName, dataset.StudyID, dataset.AccessionNumber = "Krummhorn^Otto", "Schalmei", "Schalmei1"
    folder = tmp_path / "Zimbelstern Anna"
    folder.mkdir()
    path = folder / "Krummhorn.dcm"
    dataset.save_as(path)
    return path


def clean(*texts: object) -> None:
    for text in texts:
        assert not [name for name in NAMES if name in str(text)], text


def test_a_scan_holds_no_name_date_text_or_path_and_still_loads(planted):
    table = dl.scan(planted)
    clean(table.to_string(), table.to_html(), table.attrs, table.to_csv(), pickle.dumps(table))
    assert table.PatientName.str.fullmatch("hidden-[0-9a-f]{8}").all() and table.Modality.tolist() == ["CT"]
    assert table.dtypes.StudyDate == "datetime64[ns]" and table.StudyDate[0].year < 1890
    volume = dl.load(table)
    clean(volume, volume._repr_html_(), volume.attrs, volume.coords["path"].values, volume.dicom.instances.to_string())
    assert volume.shape == (1, 128, 128) and volume.attrs["Manufacturer"] == "GE MEDICAL SYSTEMS"
    assert dl.load(volume.dicom.instances).equals(volume)


def test_the_same_text_has_the_same_pseudonym_everywhere(planted):
    table = dl.scan(planted)
    assert dl.load(table).attrs["PatientID"] == table.PatientID[0] == dl.scan(planted).PatientID[0]


def test_a_pseudonym_and_a_moved_date_are_translated_back_where_they_are_keys(planted):
    folder = dl.open_folder(planted)
    one = folder.find("STUDY").iloc[0]
    for key in ("PatientID", "PatientName", "AccessionNumber", "StudyDate"):
        found = folder.find("STUDY", **{key: one[key]})
        assert len(found) == 1, key
        clean(found.attrs, found.to_string())
    day = f"{one.StudyDate:%Y%m%d}"
    assert len(folder.find("STUDY", StudyDate=f"{day}-{day}")) == 1
    assert len(folder.find("STUDY", StudyDate="20040119")) == 1  # what the user knows is still a key
    assert len(folder.find("STUDY", PatientID="Q7-4711")) == 1
    assert len(folder.retrieve(folder.find("STUDY"))) == 1


@pytest.mark.filterwarnings("ignore:.*before phi was switched off")
def test_a_query_and_a_retrieve_hold_pseudonyms_that_still_name_their_rows(tmp_path):
    with dl.options.set(phi=True), dl.demo_pacs() as pacs:
        shown = pacs.find("PATIENT", PatientID="").PatientID.tolist()
        with dl.options.set(phi=False):
            patients = pacs.find("PATIENT", PatientID="")
            assert not set(patients.PatientID) & set(shown) and len(patients) == len(shown)
            seen: list[dict] = []
            series = pacs.find("SERIES", PatientID=patients.PatientID.tolist(), on_match=seen.append)
            assert len(series) == len(seen) and set(series.PatientID) <= set(patients.PatientID)
            assert {one["PatientID"] for one in seen} <= set(patients.PatientID)
            instances = pacs.retrieve(series.head(1))
            assert len(instances) and instances.PatientID[0] == series.PatientID[0]
            raw = pacs.find("STUDY", PatientID=patients.PatientID[0], raw=True)
            assert raw.dataset[0].PatientID == patients.PatientID[0]
            assert dl.load(instances.head(1)).attrs["PatientID"] == series.PatientID[0]
            assert "hidden-" not in instances.path[0]  # names of our own cache hold nothing of a patient
            for known in shown:
                assert known not in str(raw.attrs) + raw.to_string() + instances.to_string() + str(instances.attrs)
        again = pacs.find("PATIENT", PatientID="")
        assert again.PatientID.tolist() == shown


def test_a_pseudonym_of_another_session_is_refused(planted):
    with pytest.raises(InvalidRequest, match="another session"):
        dl.open_folder(planted).find("STUDY", PatientID="hidden-00000000")
    with pytest.raises(InvalidRequest, match="another session"):
        dl.load("hidden-00000000.dcm")


def test_what_was_made_before_stays_as_it_is_and_is_counted(planted):
    with dl.options.set(phi=True):
        table, volume = dl.scan(planted), dl.load(planted)
        others = phi.switch(True) - 2  # of tests before this
        told = rf"{others + 2} tables and volumes were made before phi was switched off"
        with pytest.warns(ResultWarning, match=told):
            dl.options.phi = False
        del volume
        gc.collect()
        assert phi.switch(False) == others + 1
        volume = dl.load(planted)
        assert table.PatientID[0] == "Q7-4711" != volume.attrs["PatientID"]
        dl.options.phi = True


def test_errors_warnings_and_status_words_hold_no_name(planted):
    table = dl.scan(planted)
    with planted.open("r+b") as file:
        file.truncate(3000)
    with pytest.raises(BadFile) as caught:
        dl.load(table)
    clean(caught.value, caught.value.args, repr(caught.value), vars(caught.value), pickle.dumps(caught.value))
    assert caught.value.path == table.path[0]
    with pytest.warns(ResultWarning) as told:
        again = dl.scan(planted.parent)
    clean(*[one.message for one in told], again.attrs)
    error = StatusError(f"it ended with {Status(0xC001, 'no room for Zimbelstern', service='C-FIND')}")
    clean(error, Status(0xC001, "no room for Zimbelstern"))
    assert "0xC001" in str(error) and "hidden-" in str(error)
    with pytest.raises(InvalidRequest) as refused:
        dl.open_folder(table.path.tolist()).find("STUDY", StudyDate="ZIMBELSTERN^Anna")
    clean(refused.value)


def twice(call):
    """The second time the name is taken."""
    call()
    return call()


@pytest.mark.parametrize(
    "call",
    [
        dl.scan,
        dl.load,
        dl.read_table,
        lambda path: dl.open_folder([path]),
        lambda path: dl.load(get_testdata_file("CT_small.dcm")).dicom.to_nifti(path),
        lambda path: dl.load(get_testdata_file("CT_small.dcm")).dicom.to_nifti(path + "/ct.nii"),
        lambda path: dl.scan(path + "\0"),
        lambda path: twice(lambda: dl.modify(get_testdata_file("CT_small.dcm"), to=path, PatientName="X")),
        lambda path: twice(lambda: dl.modify(get_testdata_file("CT_small.dcm"), to=path + "/x", PatientName="X")),
    ],
)
def test_a_path_that_cannot_be_used_is_not_told_by_its_name(call, tmp_path):  # R0.6
    with dl.options.set(phi=False), pytest.raises(DicomlabError) as raised:
        call(str(tmp_path / "DOE_JANE"))
    assert "hidden-" in str(raised.value) and "DOE" not in str(raised.value) + repr(raised.value.args)


def test_errors_of_damaged_frames_hold_no_name_either_and_cost_their_files_only(tmp_path):  # R0.6, R12.9
    paths = compressed(tmp_path / "Zimbelstern", 4, damaged=(1, 2))
    with pytest.raises(BadFile) as caught:
        dl.load(paths[1:3])
    clean(vars(caught.value), pickle.dumps(caught.value), [vars(other) for other in caught.value.others])
    with pytest.raises(BadFile):
        dl.load(caught.value.path)  # the pseudonym is translated
    found = dl.load_all(paths)
    assert [len(one.z) for one in found.values()] == [2]
    clean(found.report.to_string())


def test_a_report_and_its_names_hold_no_name(planted):
    bad = planted.with_name("Zimbelstern bad.dcm")
    bad.write_bytes(planted.read_bytes()[:3000])
    found = dl.load_all([planted, bad])
    clean(found, found.report.to_string(), list(found), found.stacks.to_string())
    assert len(found) == 1 and (found.report.severity == "error").sum() == 1


def test_a_path_is_hidden_whole_whatever_was_hidden_before_is_a_part_of_it():  # R0.6
    phi.pseudonym("Vault")
    place = "/srv/Vault/Zimbelstern Anna/20240105/0000.dcm"
    stand_in = phi.path(place)
    assert phi.said(f"{place}: cut off") == f"{stand_in.removesuffix('.dcm')}: cut off"
    assert phi.said(place + " in /srv/Vault").endswith(f" in /srv/{phi.pseudonym('Vault')}")


def test_a_pseudonym_that_looks_like_a_date_stays_one():
    assert phi.said("hidden-20240105 of 20240105").startswith("hidden-20240105 of 1")


def test_other_objects_hold_no_name(tmp_path):
    for name in ("rtstruct.dcm", "reportsi.dcm", "waveform_ecg.dcm"):
        dataset = pydicom.dcmread(get_testdata_file(name), force=True)
        dataset.PatientName, dataset.SeriesDescription = "ZIMBELSTERN^Anna", "Krummhorn"
        dataset.ContentDate = "19471103"
        for roi in dataset.get("StructureSetROISequence", []):
            roi.ROIName = f"of Zimbelstern {roi.ROINumber}"
        for item in dataset.get("ContentSequence", []):
            if "TextValue" in item:
                item.TextValue = "said Krummhorn"
        path = tmp_path / f"Zimbelstern-{name}"
        dataset.save_as(path)
        found = dl.load(path)
        clean(found, found._repr_html_(), found.title, found.dataset)
        for table in ("rois", "content", "measurements", "annotations"):
            if hasattr(found, table):
                clean(getattr(found, table).to_string())
        if name == "rtstruct.dcm":
            assert found.contours(found.rois.ROIName[0]) is not None  # a pseudonym names its region


@pytest.mark.filterwarnings("ignore:.*Zarr")
def test_what_is_written_from_a_volume_holds_no_name(planted, tmp_path):
    volume = dl.load(planted)
    volume.dicom.to_nifti(tmp_path / "out.nii")
    volume.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
    volume.to_zarr(tmp_path / "out.zarr")
    for path in [one for one in tmp_path.rglob("*") if one.is_file() and one.parent.name != planted.parent.name]:
        data = path.read_bytes()
        assert not [name for name in NAMES if name.encode() in data], path


def test_a_figure_says_no_name(planted):
    figure = dl.view(dl.load(planted)).figure()
    clean(*[text.get_text() for text in figure.texts])


def test_dates_keep_their_order_distance_and_day_of_the_week():
    days = pd.to_datetime(pd.Series(["1901-03-01", "2000-02-29", "2024-05-06"]))
    moved = phi.frame(pd.DataFrame({"StudyDate": days})).StudyDate
    assert (moved.diff().dropna() == days.diff().dropna()).all() and (moved.dt.day_of_week == days.dt.day_of_week).all()
    assert moved.dt.year.max() < 1890
    assert phi.frame(pd.DataFrame({"StudyDate": moved})).StudyDate.equals(moved)  # what is hidden is not hidden again
    assert phi.named("StudyDate", "20240506-20240507")[:2] == "18" == phi.named("StudyDate", "-20240506")[1:3]
    assert "2024" not in phi.named("StudyDate", "20240506-20240507") + phi.named("StudyDate", "2024")
    assert phi.named("AcquisitionDateTime", "20240506120000-0500").endswith("120000-0500")
    told = phi.said("from 20240506 to 20240507120000, 1.2.20240506.3, 120240506")
    assert told.count("20240506") == 2 and told.count("20240507") == 0
    for text in ("20240506", "2024.05.06", "20240506120000.5"):
        assert phi.day(phi.day(text), back=True) == text
    assert phi.key("StudyDate", moved[2].date()) == dt.date(2024, 5, 6)
    assert phi.key("StudyDate", np.datetime64(moved[2], "D")) == np.datetime64("2024-05-06")


def test_numbers_codes_and_devices_stay_and_nested_text_does_not():
    inside = {"CodeMeaning": "Brain", "PatientName": "Zimbelstern", "PatientWeight": 70.0}
    made = phi.frame(pd.DataFrame({"AnatomicRegionSequence": [(inside,)], "Manufacturer": ["ACME"], "KVP": [120.0]}))
    assert made.AnatomicRegionSequence[0][0]["CodeMeaning"] == "Brain" and made.Manufacturer[0] == "ACME"
    assert made.AnatomicRegionSequence[0][0]["PatientName"].startswith("hidden-") and made.KVP[0] == 120.0


def test_logs_of_the_demo_pacs_and_of_the_client_hold_no_name_at_any_level():
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with dl.options.set(phi=True), dl.demo_pacs() as pacs:
            patients = pacs.find("PATIENT", PatientName="")
            pacs.retrieve(pacs.find("SERIES", PatientID=patients.PatientID[0]).head(1))
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    said = stream.getvalue()
    assert not [name for name in {*patients.PatientName, *patients.PatientID} if name in said]


def test_values_that_break_their_vr_are_in_no_log_warning_or_error_of_other_libraries(tmp_path, caplog):
    paths = []
    for number in range(2):
        dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are odd
            dataset.PatientBirthDate, dataset.StudyDate, dataset.PatientID = "Zimbel", "2019-08-17", "Zimbel" * 20
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
            dataset.ImagePositionPatient[2] = 5 * number
            dataset.save_as(tmp_path / f"{number}.dcm")
        paths.append(tmp_path / f"{number}.dcm")
    caplog.clear()
    with dl.options.set(phi=False), warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        dl.write(paths, tmp_path / "packed.zip")
        dl.pseudonymise(paths, tmp_path / "under", map={})
        volume = dl.load(paths)
        pytest.importorskip("highdicom", reason="no segmentation can be written")
        with pytest.raises(InvalidRequest, match="cannot make a SEG object of this: ValueError") as bad:
            dl.write(volume > 1000, tmp_path / "mask", like=paths)
    said = [*(str(one.message) for one in caught), *caplog.messages, str(bad.value)]
    assert not [text for text in said if "Zimbel" in text or "2019-08-17" in text]
    assert any("'hidden'" in text for text in caplog.messages)


def test_files_pixels_uids_times_and_numbers_stay_as_they_are(planted):
    before = planted.read_bytes()
    volume, table = dl.load(planted), dl.scan(planted)
    with dl.options.set(phi=True):
        shown, open_table = dl.load(planted), dl.scan(planted)
    assert planted.read_bytes() == before and np.array_equal(volume.values, shown.values)
    same = [name for name in open_table if "UID" in name or name.endswith("Time") or name in ("Modality", "Rows")]
    assert len(same) > 8
    pd.testing.assert_frame_equal(table[same], open_table[same], check_like=True)


@pytest.mark.filterwarnings("ignore:.*made before")  # by the tests before
def test_rows_with_hidden_paths_can_be_sent_and_shown_with_pictures(planted):
    table = dl.scan(planted)
    with dl.options.set(phi=True), dl.demo_pacs() as pacs, dl.options.set(phi=False):
        sent = [pacs.store(table), pacs.store(table.path.tolist()), pacs.store(planted.parent)]
        for answer in sent:
            assert answer.stored.all() and answer.path.tolist() == table.path.tolist()
            clean(answer.to_string(), answer.attrs)
        assert sent[0].StudyDate.equals(table.StudyDate)
        picker = dl.pick(table)
        assert picker._files(0) == [str(planted)]
        clean(picker.get_state())
