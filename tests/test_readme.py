"""What the README shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support import ROOT

from dicomlab.readers.instance import Instance
from dicomlab.readers.structured import Report
from dicomlab.readers.structures import Structures
from dicomlab.readers.waveform import Waveform
from dicomlab.volumes.volume import DicomAccessor

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "DICOMLAB_CACHE": str(folder / "cache")}
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_python_runs_as_it_stands(tmp_path):
    six, _ = blocks("python")
    assert len(six.strip().splitlines()) == 6  # the README says so
    told = "print(type(volume).__name__, volume.dims, volume.attrs['units'], len(series), len(ct))\n"
    shown = run(six + told, tmp_path)
    assert re.fullmatch(r"DataArray \('z', 'y', 'x'\) HU [1-9]\d* [1-9]\d*\n", shown)


def test_the_rest_runs_as_it_stands_and_does_what_its_line_says(tmp_path):
    six, rest = blocks("python")
    assert all(line.count("#") == 1 for line in rest.splitlines())
    told = """
assert checks.attrs["ok"] and set(steps.Modality) == {"CT"}
assert len(job.result()) == series.head(3).NumberOfSeriesRelatedInstances.sum()
assert len(scanned) == len(copies) == len(instances) == volume.sizes["z"]
assert (dl.load(derived).values == volume.values + 1).all() and set(changed.PatientID) == {"T-7"}
assert sent.stored.all() and kept.committed.all() and discs.status == "DONE"
assert set(means.status) == {"done"} and len(means) == len(ct) and not set(others.PatientID) & set(scanned.PatientID)
text = open("audit.jsonl").read()
assert "C-STORE" in text and "protocol 12" in text and "DOE" not in text
assert viewer.figure() is not None and len(picker.selected) == 0
"""
    run(six + rest + told, tmp_path)


def test_what_it_says_an_object_has_is_there():
    said = {
        DicomAccessor: [*re.findall(r"\.dicom\.(\w+)", README), "spacing", "orientation", "sel", "instances"],
        Structures: ["rois", "contours", "mask"],
        Report: ["measurements", "content", "text"],
        Waveform: ["annotations", "__getitem__"],
        Instance: ["dataset"],
    }
    for kind, names in said.items():
        assert {"suv", "like", "to_nifti"} <= set(names) or kind is not DicomAccessor
        for name in names:
            assert (name in README or name[0] == "_") and (hasattr(kind, name) or name in kind.__annotations__), name


def test_its_nodes_toml_is_read(tmp_path):
    (text,) = blocks("toml")
    assert list(tomllib.loads(text)) == ["archive"]
    folder = tmp_path / "configuration"
    folder.mkdir()
    (folder / "nodes.toml").write_text(text)
    code = f"import os; os.environ['DICOMLAB_CONFIG'] = {str(folder)!r}\n"
    code += "import dicomlab as dl; node = dl.connect('archive').node; print(node.ae_title, node.calling, *dl.nodes())"
    assert run(code, tmp_path).split()[:2] == ["ARCHIVE", "MYNOTEBOOK"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(make [a-z]+)", README))))
def test_a_command_it_names_is_in_the_makefile(name):
    assert re.search(rf"^{name.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and all((ROOT / link).exists() for link in links)
    titles = [line.strip("# ").lower() for line in README.splitlines() if line.startswith("#")]
    headings = {re.sub(r"[^a-z0-9 -]", "", title).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


#: What the README promises, by its words in bold, and the tests that hold it.
PROMISES = {
    "An archive that is silent, breaks off or talks nonsense ends in an error that names it": (
        "faults/test_faults.py::test_the_fault_is_survived_as_its_table_says",
        "net/test_association.py::test_the_total_deadline_holds_while_the_association_is_asked_for",
    ),
    '"Success" is no evidence': (
        "faults/test_faults.py::test_the_fault_is_survived_as_its_table_says",
        "net/test_retrieve.py::test_what_another_process_fetched_meanwhile_is_not_missing",
    ),
    "What has come is kept": (
        "faults/test_faults.py::test_calling_again_fetches_only_what_is_missing",
        "net/test_retrieve.py::test_ctrl_c_keeps_what_came_and_the_next_call_fetches_the_rest",
    ),
    "Ctrl-C and the interrupt button come back within a second": (
        "net/test_interrupt.py::test_ctrl_c_ends_a_find_with_the_matches_that_came",
        "net/test_interrupt.py::test_ctrl_c_ends_a_retrieve_with_what_came",
    ),
    "A full disk, a kill or an edited file leaves nothing damaged behind": (
        "test_sweep.py::test_a_retrieve_stands_the_failure_of_any_call",
        "cache/test_cache.py::test_a_kill_at_any_moment_leaves_whole_files_and_loses_no_answered_one",
        "cache/test_cache.py::test_a_file_edited_between_runs_is_noticed_and_received_again",
    ),
    "A broken or hostile file is named with the reason": (
        "test_malformed.py::test_each_broken_file_is_named_with_the_reason_and_its_neighbour_loads",
        "test_bombs.py::test_a_bomb_is_refused_within_a_second_and_64_mib",
        "test_hostile.py::test_fifos_devices_and_sockets_are_named_and_never_opened",
    ),
    "Nothing chosen means nothing asked for": (
        "net/test_retrieve.py::test_rows_that_name_nothing_are_refused_before_anything_is_sent",
        "net/test_node.py::test_a_node_is_read_only_unless_a_writing_service_is_named",
    ),
    "The port for C-MOVE is open only while it is needed": (
        "net/test_listener.py::test_it_listens_while_a_retrieve_needs_it_on_the_route_to_the_archive_alone",
        "net/test_listener.py::test_an_address_that_is_not_the_archives_is_closed_at_once",
        "net/test_listener.py::test_a_study_that_nobody_asked_for_is_set_aside_and_told",
    ),
    "A certificate that is not in order is refused": (
        "net/test_tls.py::test_each_bad_certificate_is_refused_with_its_own_reason",
        "net/test_tls_faults.py::test_an_archive_with_a_bad_set_up_brings_nothing_and_the_error_says_why",
    ),
    "No password, passcode or token is shown": (
        "net/test_tls.py::test_no_secret_is_shown_logged_raised_or_pickled",
        "net/test_useridentity.py::test_no_secret_is_shown_logged_raised_pickled_or_kept",
        "net/test_useridentity.py::test_no_secret_is_in_an_error_however_the_association_fails",
    ),
    "Text stays text": (
        "test_markup.py::test_no_module_but_the_door_writes_html",
        "test_markup.py::test_a_payload_in_a_file_is_text_wherever_it_is_shown",
        "test_markup.py::test_a_payload_of_a_peer_is_text_in_what_we_say_of_it",
        "test_markup.py::test_payloads_in_the_answers_of_an_archive_are_text",
    ),
    "Logs name no patient": (
        "test_phi.py::test_logs_of_the_demo_pacs_and_of_the_client_hold_no_name_at_any_level",
        "cache/test_cache.py::test_no_text_of_a_peer_is_in_a_path_and_modes_are_private",
    ),
    "With `dl.options.phi = False` a saved notebook names no patient": (
        "test_phi_notebook.py::test_a_saved_notebook_holds_no_planted_name_while_phi_is_off",
        "test_phi_notebook.py::test_the_same_notebook_with_phi_on_holds_every_planted_name",
    ),
    "A pseudonym still means what it stands for": (
        "test_phi.py::test_a_pseudonym_and_a_moved_date_are_translated_back_where_they_are_keys",
        "test_phi.py::test_a_query_and_a_retrieve_hold_pseudonyms_that_still_name_their_rows",
        "test_phi.py::test_a_scan_holds_no_name_date_text_or_path_and_still_loads",
    ),
    "It is no de-identification": ("test_phi.py::test_files_pixels_uids_times_and_numbers_stay_as_they_are",),
}


def test_each_promise_has_its_tests_and_each_test_is_there():
    section = README.split("## What it promises")[1].split("\n## ")[0]
    said = re.findall(r"^- \*\*(.*?)\*\*", section, re.DOTALL | re.MULTILINE)
    assert [" ".join(words.split()) for words in said] == list(PROMISES)
    assert len(said) == section.count("\n- "), "a promise without words in bold"
    for tests in PROMISES.values():
        for test in tests:
            path, name = test.split("::")
            assert f"\ndef {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), test
