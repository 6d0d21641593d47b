"""Store: what is sent, in which syntax, and what is said of each instance (SPEC 6)."""

from __future__ import annotations

import copy
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import slices
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless
from stores import CT, Sender, serve_all, store_that

import dicomlab as dl
from dicomlab.datasets.uids import EXPLICIT, IMPLICIT
from dicomlab.errors import (
    AssociationRejected,
    ConnectError,
    IncompleteStore,
    Interrupted,
    InvalidRequest,
    NoAcceptedContext,
    ResultWarning,
)

FILES = [get_testdata_file(name) for name in ("CT_small.dcm", "MR_small_RLE.dcm", "reportsi.dcm", "JPEG2000.dcm")]


@pytest.fixture
def pacs():
    with dl.demo_pacs() as peer:
        yield peer


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return slices.write(tmp_path / "series", slices.stack([0, 1, 2, 3, 4]))


def connect(address: str, **more: object) -> dl.Peer:
    return dl.connect(address, allow="store", timeout=2.0, **more)


# -- what is given ----------------------------------------------------------------------------------------------


def test_files_of_any_class_are_stored_as_they_are_and_come_back_the_same(pacs):  # R6.1, R6.3
    sent = pacs.store(FILES)
    assert sent.stored.all() and sent.status.tolist() == [0] * 4 and (sent.sent_as == sent.TransferSyntaxUID).all()
    for path, uid, sop_class in zip(FILES, sent.SOPInstanceUID, sent.SOPClassUID, strict=True):
        there = pydicom.dcmread(path, force=True)
        assert (there.SOPInstanceUID, there.SOPClassUID) == (uid, sop_class)
        came = pacs.retrieve(pacs.find("IMAGE", SOPInstanceUID=uid))
        back = pydicom.dcmread(came.path[0])
        assert {e.tag: e.value for e in back} == {e.tag: e.value for e in there}


def test_a_table_keeps_its_rows_columns_and_index(pacs, series):  # R6.5
    table = dl.scan(series[0].parent).iloc[[3, 1]].assign(mine=["a", "b"])
    sent = pacs.store(table)
    assert sent.index.tolist() == [3, 1] and sent.mine.tolist() == ["a", "b"]
    assert sent.path.tolist() == table.path.tolist() and sent.stored.dtype == "boolean" and sent.stored.all()
    assert sent.SOPInstanceUID.tolist() == ["1.2.3.4", "1.2.3.2"] or set(sent.SOPInstanceUID) <= set(
        table.SOPInstanceUID
    )


def test_tables_paths_folders_and_data_sets_may_be_mixed(pacs, series):  # R6.1
    dataset = pydicom.dcmread(FILES[0])
    sent = pacs.store([dataset, series[0].parent, dl.scan(FILES[1]), FILES[2]])
    assert len(sent) == 8 and sent.stored.all() and sent.path.isna().tolist() == [True] + [False] * 7


def test_a_dicomdir_gives_its_instances(pacs):  # R6.1
    folder = Path(get_testdata_file("DICOMDIR")).parent
    sent = pacs.store(folder / "DICOMDIR")
    assert len(sent) == 31 and sent.stored.all()


def test_a_series_of_paths_is_taken_and_an_empty_choice_refused(pacs, series):
    table = dl.scan(series)
    assert len(pacs.store(table.path)) == 5
    for nothing in ([], table[:0], table.path[:0]):
        with pytest.raises(InvalidRequest, match="nothing is selected"):
            pacs.store(nothing)
    with pytest.raises(InvalidRequest, match="no column path"):
        pacs.store(pacs.find("STUDY", PatientName=""))
    for wrong in (None, 3, {"path": "x"}, b"x", dl.load(table), dl.load(table).to_numpy()):
        with pytest.raises(InvalidRequest, match="cannot be sent"):
            pacs.store(wrong)


def test_a_row_that_the_file_contradicts_is_not_sent(pacs, series):  # R6.9
    table = dl.scan(series)
    table.loc[0, "path"], table.loc[1, "path"] = table.path[1], "/nowhere.dcm"
    with pytest.warns(
        ResultWarning, match=r"3 of 5 instances are stored; the first that is not, .*0001.dcm: it holds an"
    ):
        sent = pacs.store(table)
    assert sent.stored.tolist() == [False, False, True, True, True] and "cannot be" in sent.comment[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SOPClassUID": None}, "no SOP Class UID"),
        ({"SOPInstanceUID": None}, "no SOP Instance UID"),
        ({"SOPInstanceUID": "1." + "2" * 70}, "has 72 characters, 64 are allowed"),
    ],
)
def test_what_breaks_the_rules_fails_alone_and_nothing_is_invented(pacs, tmp_path, change, words):  # R6.9
    good, bad = slices.stack([0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pydicom's, of the UID
        for name, value in change.items():
            setattr(bad, name, value) if value else delattr(bad, name)
    with pytest.warns(ResultWarning, match=words):
        sent = pacs.store([bad, good])
    assert sent.stored.tolist() == [False, True] and words in sent.comment[0]
    assert pd.isna(sent.status[0])


@pytest.mark.parametrize(("sop_class", "words"), [("1." + "2" * 300, "302 characters"), ("CT/x", "is no UID")])
def test_a_file_whose_class_cannot_be_proposed_takes_no_other_with_it(pacs, series, tmp_path, sop_class, words):  # R6.9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        bad = pydicom.dcmread(series[0])
        bad.SOPClassUID = bad.file_meta.MediaStorageSOPClassUID = sop_class
        bad.save_as(tmp_path / "bad.dcm")
    with pytest.warns(ResultWarning, match=words):
        sent = pacs.store([tmp_path / "bad.dcm", *series])
    assert sent.stored.tolist() == [False] + [True] * 5


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
def test_a_file_that_is_cut_is_never_stored(pacs, tmp_path, name):  # R6.9
    path = tmp_path / "cut.dcm"
    whole = Path(get_testdata_file(name)).read_bytes()
    for size in (len(whole) - 140, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(IncompleteStore, match=r"cut\.dcm is not stored: ") as caught:
            pacs.store(path)
        assert caught.value.status is None  # it was not the peer that found out


def test_pixel_data_that_is_not_the_image_is_not_sent(pacs, tmp_path):  # R6.9
    short = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    short.PixelData = bytes(100)
    with pytest.raises(IncompleteStore, match="has 100 bytes, its image needs 32,768"):
        pacs.store(short)
    short.save_as(tmp_path / "short.dcm")
    with pytest.raises(IncompleteStore, match="has 100 bytes, but the image described needs 32768"):
        pacs.store(tmp_path / "short.dcm")
    plain = pydicom.dcmread(get_testdata_file("JPEG2000.dcm"))
    plain.PixelData = bytes(2 * plain.Rows * plain.Columns)  # a new image, and the old transfer syntax
    with pytest.raises(IncompleteStore, match=r"is not compressed, and file_meta\.TransferSyntaxUID says that it is"):
        pacs.store(plain)


def test_a_pipe_is_refused_and_not_waited_for(pacs, series, tmp_path):  # R6.9
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with a name on this system")
    os.mkfifo(tmp_path / "pipe")
    table = dl.scan(series).astype({"path": object})
    table.loc[0, "path"] = str(tmp_path / "pipe")
    with pytest.warns(ResultWarning, match="no regular file"):
        assert pacs.store(table).stored.tolist() == [False, True, True, True, True]


def test_file_meta_that_names_another_instance_fails(pacs, series):  # R6.9
    dataset = pydicom.dcmread(series[0])
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    dataset.save_as(series[0])
    with pytest.raises(IncompleteStore, match=r"file meta names the SOP Instance 1\.2\.3\.99"):
        pacs.store(series[0])


def test_files_that_are_no_dicom_fail_alone(pacs, series, tmp_path):  # R6.9
    text = tmp_path / "notes.txt"
    text.write_text("not DICOM")
    with pytest.warns(ResultWarning, match="a text file, no DICOM"):
        sent = pacs.store([text, *series])
    assert sent.stored.tolist() == [False] + [True] * 5


def test_what_is_given_twice_is_sent_once_and_each_row_says_what_became_of_it(pacs, series, tmp_path):  # R6.5
    copied = tmp_path / "copied.dcm"
    copied.write_bytes(series[0].read_bytes())
    seen: list[str] = []
    pacs.hooks.add("before C-STORE-RQ", lambda event: seen.append(event.command.sop_instance))
    dataset = pydicom.dcmread(series[1])
    sent = pacs.store([series[0], copied, dataset, dataset, series[1], series[0]])
    assert len(seen) == 2 and sent.stored.all() and sent.attrs["stored"] == 6
    assert sent.comment.fillna("").str.endswith("sent once").tolist() == [False, True, False, True, True, True]
    assert sent.comment[4] == "the same as instance 3 of these, and sent once"
    seen.clear()
    assert pacs.store(sent).stored.all() and seen == []


def test_two_that_share_a_uid_and_differ_are_not_both_sent(pacs, series):  # R6.9
    other = pydicom.dcmread(series[0])
    other.PatientID = "SOMEBODY ELSE"
    with pytest.warns(ResultWarning, match="has the SOP Instance UID of .*0000.dcm' and is not the same"):
        sent = pacs.store([series[0], other, series[1]])
    assert sent.stored.tolist() == [True, False, True]
    again = pd.concat([sent[:1], dl.scan(series[0])])  # and the same of a table that names it twice
    assert pacs.store(again).stored.all()
    with pytest.raises(IncompleteStore, match="is not the same"):
        pacs.store([series[0], other], errors="raise")


def test_a_file_that_cannot_be_read_is_nobodys_twin(pacs, series, tmp_path):  # R6.9
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(series[0].read_bytes()[:-10])
    table = pd.concat([dl.scan(series[0])] * 2, ignore_index=True)
    table.loc[0, "path"] = str(cut)
    with pytest.warns(ResultWarning, match="1 of 2"):
        assert pacs.store(table).stored.tolist() == [False, True]


def test_what_is_wrong_on_our_side_is_not_to_be_sent_again(pacs, series, tmp_path):  # R6.9
    text = tmp_path / "notes.txt"
    text.write_text("not DICOM")
    with pytest.raises(IncompleteStore) as caught:
        pacs.store(text)
    assert "notes.txt is not stored: a text file, no DICOM" in str(caught.value)
    assert "mend it, or leave it out" in str(caught.value) and "again" not in str(caught.value)
    gone = dl.scan(series)
    series[0].unlink()
    with pytest.raises(IncompleteStore, match=r"4 of 5 .* cannot be read: No such file .* leave it out"):
        pacs.store(gone, errors="raise")


def test_a_zip_archive_gives_its_instances_and_a_damaged_one_is_an_error(pacs, series, tmp_path):  # R6.1
    import zipfile

    from dicomlab.errors import BadFile

    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
        for one in series:
            archive.write(one, f"folder/{one.name}")
    assert pacs.store(path).stored.tolist() == [True] * 5
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(BadFile, match="cut"):
        pacs.store([series[0], path])


def test_a_dicomdir_that_names_what_is_not_there_says_so(pacs, tmp_path):  # R6.1
    import shutil

    shutil.copytree(Path(get_testdata_file("DICOMDIR")).parent, tmp_path / "disc")
    next((tmp_path / "disc").glob("77654033/CR3/*")).unlink()
    with pytest.warns(ResultWarning, match="30 of 31 .* is not there"):
        sent = pacs.store(tmp_path / "disc" / "DICOMDIR")
    assert sent.stored.sum() == 30 and sent.comment[30].endswith("is not there")


def test_one_data_set_alone_is_stored_or_an_error(series):  # R6.5
    with store_that(lambda sender: sender.answer(*sender.request(), 0xA700)) as address, connect(address) as peer:
        with pytest.raises(IncompleteStore, match=r"0xA700 out of resources") as caught:
            peer.store(pydicom.dcmread(series[0]))
        assert caught.value.status.code == 0xA700 and caught.value.rows.status.tolist() == [0xA700]


def test_a_node_is_read_only_unless_it_is_said(series):  # R1.0
    with dl.connect("ARCHIVE@127.0.0.1:9") as peer, pytest.raises(InvalidRequest, match='allow="store"'):
        peer.store(series)


@pytest.mark.parametrize(
    "wrong",
    [
        {"originator": "A" * 17},
        {"originator": ("MOVER", -1)},
        {"priority": "now"},
        {"prefer": "1.2.3"},
        {"prefer": "1.2.840.10008.1.2.4.91"},
        {"lossy": 1},
        {"lossy": "10"},
        {"lossy": 10, "prefer": EXPLICIT},
        {"errors": "no"},
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(series, wrong):
    with dl.connect("ARCHIVE@127.0.0.1:9", allow="store") as peer, pytest.raises(InvalidRequest):
        peer.store(series, **wrong)


def test_a_peer_that_is_not_there_is_an_error_and_nothing_else(series):
    with dl.connect("ARCHIVE@127.0.0.1:9", allow="store") as peer, pytest.raises(ConnectError):
        peer.store(series)


# -- contexts and syntaxes -----------------------------------------------------------------------------------------


def test_each_class_and_syntax_has_a_context_of_its_own_the_original_first(pacs):  # R6.2
    pacs.store(FILES)
    contexts = pacs.negotiated.contexts
    assert all(len(context.proposed) == 1 for context in contexts)
    own = [(context.abstract_syntax, context.proposed[0]) for context in contexts][:4]
    assert own == [
        (pydicom.dcmread(path).SOPClassUID, pydicom.dcmread(path).file_meta.TransferSyntaxUID) for path in FILES
    ]


def test_more_than_128_pairs_take_several_associations(pacs):  # R6.2
    from dicomlab.net.association.contexts import storage_classes

    (first,) = slices.stack([0])
    many = []
    for number, sop_class in enumerate(storage_classes()[:40]):
        one = copy.deepcopy(first)
        one.SOPClassUID, one.SOPInstanceUID = sop_class, f"1.2.3.77.{number}"
        many.append(one)
    stood: list[int] = []
    pacs.hooks.add("association accepted", lambda event: stood.append(1))
    sent = pacs.store(many)
    assert sent.stored.all() and len(stood) == 3  # 7 syntaxes each: 18 classes an association


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "image_dfl.dcm"])
@pytest.mark.parametrize("taken", [EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"])
def test_what_the_peer_does_not_take_is_changed_without_loss(tmp_path, name, taken):  # R6.3, R6.4
    from pynetdicom import AE, evt

    there = pydicom.dcmread(get_testdata_file(name))
    came: list[pydicom.Dataset] = []

    def keep(event: evt.Event) -> int:
        came.append(event.dataset)
        came[-1].file_meta = event.file_meta
        return 0x0000

    ae = AE("STORE")
    ae.add_supported_context(there.SOPClassUID, taken)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        with connect(f"STORE@127.0.0.1:{server.server_address[1]}") as peer:
            sent = peer.store(get_testdata_file(name))
    finally:
        server.shutdown()
    assert sent.sent_as[0] == taken and sent.stored[0]
    (back,) = came
    assert back.SOPInstanceUID == there.SOPInstanceUID == sent.SOPInstanceUID[0]  # no new instance
    np.testing.assert_array_equal(back.pixel_array, there.pixel_array)
    left_out = {"PixelData", "SmallestImagePixelValue", "LargestImagePixelValue", "PlanarConfiguration"}
    for element in there:
        if element.keyword not in left_out and element.tag.element and element.VR != "UN":
            assert back[element.tag].value == element.value, element


def test_a_preference_is_followed_where_the_peer_takes_it(pacs, series):  # R6.4
    sent = pacs.store(series, prefer=RLELossless)
    assert set(sent.sent_as) == {RLELossless} and set(sent.TransferSyntaxUID) == {EXPLICIT}
    back = pacs.retrieve(pacs.find("SERIES", SeriesInstanceUID="1.2.2", StudyInstanceUID="1.2.1"))
    np.testing.assert_array_equal(dl.load(back).values, dl.load(dl.scan(series)).values)


def test_loss_comes_on_request_only_and_the_copy_is_what_is_committed(pacs, series, tmp_path):  # R6.4
    lossy = "1.2.840.10008.1.2.4.91"
    report = get_testdata_file("reportsi.dcm")  # no image: it goes as it is
    sent = pacs.store([get_testdata_file("CT_small.dcm"), report], lossy=8)
    assert sent.stored.all() and sent.sent_as.tolist() == [lossy, sent.TransferSyntaxUID[1]]
    copy_uid = sent.AffectedSOPInstanceUID[0]
    assert sent.comment[0] == f"a copy with loss, {copy_uid}" and pd.isna(sent.AffectedSOPInstanceUID[1])
    assert not len(pacs.find("IMAGE", SOPInstanceUID=sent.SOPInstanceUID[0]))
    back = pydicom.dcmread(pacs.retrieve(pacs.find("IMAGE", SOPInstanceUID=copy_uid)).path[0])
    assert back.LossyImageCompression == "01" and back.file_meta.TransferSyntaxUID == lossy
    again = pacs.store(get_testdata_file("CT_small.dcm"))
    assert again.sent_as[0] == EXPLICIT and pd.isna(again.AffectedSOPInstanceUID[0])


def test_loss_that_the_peer_does_not_take_is_an_error_and_nothing_is_sent_instead(series):  # R6.4
    with (
        store_that(serve_all) as address,
        connect(address) as peer,
        pytest.raises(NoAcceptedContext, match=r"Explicit VR Little Endian only, and JPEG 2000 .* asked for"),
    ):
        peer.store(series, lossy=10)


def test_a_class_that_is_not_taken_fails_with_the_reason_and_the_others_go_on(series):  # R6.3
    with (
        store_that(serve_all) as address,
        connect(address) as peer,
        pytest.warns(ResultWarning, match="MR Image.* not"),
    ):
        sent = peer.store([get_testdata_file("MR_small.dcm"), *series])
    assert sent.stored.tolist() == [False] + [True] * 5 and "was not accepted" in sent.comment[0]


def test_a_peer_that_takes_nothing_is_an_error(series):
    with store_that(serve_all) as address, connect(address) as peer, pytest.raises(NoAcceptedContext, match="MR Image"):
        peer.store([get_testdata_file("MR_small.dcm")] * 2)


def test_a_syntax_that_cannot_be_made_is_said(tmp_path):  # R6.4
    path = get_testdata_file("CT_small.dcm")
    lossless = ("1.2.840.10008.1.2.4.70",)
    with store_that(serve_all, lossless) as address, connect(address) as peer, pytest.raises(NoAcceptedContext) as why:
        peer.store([path, path])
    assert "CT Image Storage" in why.value.message


# -- the command --------------------------------------------------------------------------------------------------


def test_originator_and_priority_are_in_the_command(series):  # R6.7
    commands = []

    def does(sender: Sender) -> None:
        while (asked := sender.request()) is not None:
            commands.append(asked[1])
            sender.answer(*asked)

    with store_that(does) as address, connect(address) as peer:
        peer.store(series, originator=("MOVER", 77), priority="high")
        peer.store(series[0])
    assert [(one.text(0x1030), one.number(0x1031), one.number(0x0700)) for one in commands[:5]] == [
        ("MOVER", 77, 1)
    ] * 5
    assert [one.message_id for one in commands[:5]] == [1, 2, 3, 4, 5]
    assert 0x1030 not in commands[5].raw and commands[5].number(0x0700) == 0


def test_hooks_see_each_message_and_may_stop_it(pacs, series):  # R6.8, R1.14
    seen = []
    pacs.hooks.add("before C-STORE-RQ", lambda event: seen.append((event.command.sop_instance, len(event.data or b""))))
    pacs.store(series)
    assert [uid for uid, _ in seen] == [f"1.2.3.{number}" for number in range(5)] or len(seen) == 5
    assert all(size > 200 for _, size in seen)


def test_a_hook_may_send_an_instance_under_another_uid(pacs, series):  # R1.14, R6.8
    def renamed(event: object) -> None:
        dataset, command = event.dataset(), event.command_set()
        dataset.SOPInstanceUID = command.AffectedSOPInstanceUID = f"{command.AffectedSOPInstanceUID}.9"
        event.change(command_set=command, dataset=dataset)

    pacs.hooks.add("before C-STORE-RQ", renamed)
    sent = pacs.store(series)
    assert sent.stored.all() and sent.comment[0] == f"a hook had it sent as {sent.SOPInstanceUID[0]}.9"
    assert (sent.AffectedSOPInstanceUID == sent.SOPInstanceUID + ".9").all()
    assert len(pacs.find("IMAGE", SOPInstanceUID=f"{sent.SOPInstanceUID[0]}.9")) == 1


def test_command_and_file_meta_elements_are_never_in_the_data_set(series):  # R6.10
    dataset = pydicom.dcmread(series[0])
    dataset.add_new(0x00020010, "UI", EXPLICIT)
    dataset.add_new(0x00000002, "UI", CT)
    data = []
    with store_that(serve_all) as address, connect(address) as peer:
        peer.hooks.add("before C-STORE-RQ", lambda event: data.append(bytes(event.data or b"")))
        assert peer.store(dataset).stored[0]
    assert data[0][:4] == b"\x08\x00\x05\x00" or data[0][:2] == b"\x08\x00"


# -- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "stored"), [(0xB000, True), (0xB007, True), (0xA700, False), (0xC123, False), (0x0122, False)]
)
def test_every_status_is_in_its_row(series, status, stored):  # R6.5
    def does(sender: Sender) -> None:
        for number in range(5):
            sender.answer(*sender.request(), status if number == 2 else 0, e0902=b"because" if number == 2 else None)
        sender.request()

    with store_that(does) as address, connect(address) as peer, pytest.warns(ResultWarning, match="because"):
        sent = peer.store(series)
    assert sent.status.tolist() == [0, 0, status, 0, 0] and sent.stored[2] == stored
    assert sent.comment[2] == "because" and sent.stored.sum() == 4 + stored


def test_failed_rows_are_sent_again_and_stored_ones_are_not(series):  # R6.6
    asked_for = []

    def does(sender: Sender) -> None:
        while (asked := sender.request()) is not None:
            asked_for.append(asked[1].sop_instance)
            sender.answer(*asked, 0xA700 if len(asked_for) in (2, 4) else 0)

    with store_that(does) as address, connect(address) as peer:
        with pytest.warns(ResultWarning, match="3 of 5"):
            first = peer.store(series)
        again = peer.store(first)
        assert again.stored.all() and again.attrs["skipped"] == 3
        assert asked_for[5:] == first.SOPInstanceUID[~first.stored].tolist()
        assert peer.store(again).attrs["skipped"] == 5 and len(asked_for) == 7
        with connect(address) as same:
            assert same.store(again.drop(columns="stored")).stored.all() and len(asked_for) == 12


FAULTS = {
    "abort in mid-instance": (lambda sender: (sender.request(data=False), sender.abort()), "abort", 2),
    "reset in mid-instance": (lambda sender: (sender.request(data=False), sender.reset()), "connection", 2),
    "closed before the answer": (lambda sender: sender.request(), "closed the connection", 2),
    "release in the middle": (
        lambda sender: (sender.request(), sender.connection.sendall(b"\5\0\0\0\0\4\0\0\0\0"), sender.pdu()),
        "release",
        2,
    ),
    "silent": (lambda sender: (sender.request(), sender.pdu()), "nothing moved", 1),
    "does not read": (lambda sender: (sender.request(data=False), threading.Event().wait(4)), "nothing moved", 1),
    "another message id": (lambda sender: (sender.answer(*sender.request(), e0120=77), sender.pdu()), "message 77", 1),
    "another instance": (
        lambda sender: (sender.answer(*sender.request(), e1000=b"9.9.9"), sender.pdu()),
        "names the instance 9.9.9",
        1,
    ),
    "no status": (lambda sender: (sender.answer(*sender.request(), e0900=None), sender.pdu()), "without a status", 1),
    "another command": (lambda sender: (sender.answer(*sender.request(), e0100=0x8030), sender.pdu()), "0x8030", 1),
    "garbage": (
        lambda sender: (sender.request(), sender.connection.sendall(b"HTTP/1.1 400\r\n\r\n")),
        "not a DICOM",
        1,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_peer_that_fails_leaves_every_row_with_what_is_known_of_it(tmp_path, fault):
    does, words, tried = FAULTS[fault]
    large = slices.write(tmp_path / "large", slices.stack([0, 1, 2, 3], rows=1024, columns=2048))
    with store_that(does) as address, dl.connect(address, allow="store", timeout=1.0) as peer:
        with pytest.warns(ResultWarning, match=r"0 of 4 instances are stored"):
            sent = peer.store(large)
        assert not sent.stored.any() and sent.status.isna().all()
        assert sent.comment.str.contains("whether it was stored is not known").sum() == tried
        assert (sent.comment == "not sent").sum() == 4 - tried
        assert words in sent.comment[0]
        with pytest.raises(IncompleteStore) as caught:
            peer.store(large, errors="raise")
        assert len(caught.value.rows) == 4 and "not sent" in str(caught.value)
    assert not [one for one in threading.enumerate() if one.name.startswith("dicomlab")]


def test_an_association_that_is_lost_takes_one_instance_with_it(series):
    def does(sender: Sender) -> None:
        if sender.number == 0:
            for _ in range(2):
                sender.answer(*sender.request())
            sender.request()
            sender.abort()
        else:
            serve_all(sender)

    with store_that(does) as address, connect(address) as peer:
        with pytest.warns(ResultWarning, match="4 of 5 .* an association was lost, and the rest"):
            sent = peer.store(series)
        assert sent.stored.tolist() == [True, True, False, True, True] and len(sent.attrs["lost"]) == 1
        assert "whether it was stored is not known" in sent.comment[2]
        assert peer.store(sent).stored.all()


def test_many_small_instances_may_take_longer_than_the_time_without_progress(series):  # R1.5: an answer is progress
    def slow(sender: Sender) -> None:
        while (asked := sender.request()) is not None:
            threading.Event().wait(0.5)
            sender.answer(*asked)

    with store_that(slow) as address, dl.connect(address, allow="store", timeout=1.5) as peer:
        assert peer.store(series).stored.all()  # 2.5 s


def test_what_our_side_takes_to_change_an_instance_is_no_silence_of_the_peer(series, monkeypatch):  # R1.5
    from dicomlab.net.store import sender

    def slow(*arguments: object) -> bytes:
        threading.Event().wait(1.2)
        return transcode(*arguments)

    transcode = sender.transcode
    monkeypatch.setattr(sender, "transcode", slow)
    with store_that(serve_all) as address, dl.connect(address, allow="store", timeout=1.0) as peer:
        assert peer.store([pydicom.dcmread(path) for path in series[:2]]).stored.all()


def test_a_peer_that_rejects_is_an_error(series):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:

        def refuse() -> None:
            connection, _ = door.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"\3\0\0\0\0\4\0\1\1\7")

        thread = threading.Thread(target=refuse)
        thread.start()
        with connect(f"STORE@127.0.0.1:{door.getsockname()[1]}") as peer, pytest.raises(AssociationRejected):
            peer.store(series)
        thread.join(30)


def test_several_associations_share_the_work(series):  # R1.20
    together = threading.Barrier(2, timeout=10)

    def does(sender: Sender) -> None:
        first = True
        while (asked := sender.request()) is not None:
            if first and sender.number < 2:
                together.wait()  # the second is there while the first has not been answered
            first = False
            sender.answer(*asked)

    with store_that(does) as address:
        node = dl.Node.of(address)
        import dataclasses

        with connect(dataclasses.replace(node, associations=2)) as peer:
            sent = peer.store(series)
    assert sent.stored.all() and sent.attrs["associations"] == 2


def test_cancel_keeps_what_is_stored_and_says_what_was_not_sent(series):  # R6.6, R6.11
    with store_that(serve_all) as address, connect(address) as peer:
        done = []

        def progress(count: int, total: int | None) -> None:
            done.append((count, total))
            if count == 2:
                peer.cancel()

        with pytest.warns(ResultWarning, match="2 of 5"):
            sent = peer.store(series, progress=progress)
        assert sent.stored.tolist() == [True, True, False, False, False] and sent.attrs["cancelled"]
        assert sent.comment[3] == "not sent" and done == [(1, 5), (2, 5)]
        assert peer.store(sent).stored.all()


def test_ctrl_c_stops_run_all_and_gives_the_rows(series):  # R6.6, R6.11
    with store_that(serve_all) as address, connect(address) as peer:
        calls = []

        def second(event: object) -> None:
            calls.append(event)
            if len(calls) == 3:
                raise KeyboardInterrupt

        peer.hooks.add("before C-STORE-RQ", second)
        with pytest.raises(Interrupted) as caught:
            peer.store(series)
        rows = caught.value.rows
        assert rows.stored.tolist() == [True, True, False, False, False] and rows.comment[4] == "not sent"


def test_a_store_may_run_in_the_background(pacs, series):  # R5.23, R6.11
    job = pacs.store(series, background=True)
    assert job.result().stored.all()


def test_the_next_instance_is_read_while_the_answer_is_awaited(series, monkeypatch):  # P3
    from dicomlab.outgoing.sendable import Reader

    read = [threading.Event() for _ in series]
    whole = Reader.data_set

    def noted(reader: Reader, row: object) -> memoryview:
        data = whole(reader, row)
        next(event for event in read if not event.is_set()).set()
        return data

    def does(sender: Sender) -> None:
        for number in range(len(series)):
            asked = sender.request()
            assert asked is not None and read[min(number + 1, len(series) - 1)].wait(10)
            uids.append(asked[1].sop_instance)
            sender.answer(*asked)
        sender.request()

    uids: list[str] = []
    monkeypatch.setattr(Reader, "data_set", noted)
    with store_that(does) as address, connect(address) as peer:
        assert peer.store(series).stored.all()
    assert uids == [str(pydicom.dcmread(path).SOPInstanceUID) for path in series]


def test_what_was_read_ahead_is_sent_over_the_next_association(series):  # R6.6
    came = []

    def does(sender: Sender) -> None:
        while (asked := sender.request()) is not None:
            came.append(asked[1].sop_instance)
            if len(came) == 3:
                sender.abort()
                return
            sender.answer(*asked)

    with store_that(does) as address, connect(address) as peer, pytest.warns(ResultWarning, match="over another"):
        sent = peer.store(series)
    assert came == [str(pydicom.dcmread(path).SOPInstanceUID) for path in series]
    assert sent.stored.tolist() == [True, True, False, True, True] and "not known" in sent.comment[2]


def test_memory_of_one_instance_is_used_for_all(series):
    from dicomlab.outgoing.outgoing import outgoing
    from dicomlab.outgoing.sendable import Reader

    reader = Reader()
    first = [bytes(reader.data_set(item)) for item in outgoing(series)]
    for data, path in zip(first, series, strict=True):
        assert data == path.read_bytes()[-len(data) :] and pydicom.dcmread(path).SOPInstanceUID.encode() in data


def test_the_headers_of_many_files_are_read_together(series, monkeypatch):  # P3: no scan for each of them
    from dicomlab.outgoing import outgoing

    def scanned(places: object) -> None:
        raise AssertionError(f"a scan of {places}")

    folder = Path(get_testdata_file("DICOMDIR")).parent
    monkeypatch.setattr(outgoing, "gather", scanned)
    assert [row.path for row in outgoing.outgoing(series)] == [str(path) for path in series]
    monkeypatch.undo()
    mixed = outgoing.outgoing([series[0], folder / "DICOMDIR", series[1], series[2].parent])
    assert len(mixed) == 1 + 31 + 1 + 5 and [mixed[at].path for at in (0, 32)] == [str(path) for path in series[:2]]
