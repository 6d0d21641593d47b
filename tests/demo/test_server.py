"""Association, transcript, start and end of the embedded PACS (R16.1 to R16.4), and DCMTK's clients against it."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pydicom
import pytest
from rejections import Rejection
from support import require_peer

from dicomlab.demo import DemoServer, Holdings

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
VERIFICATION, STUDY, ST = "1.2.840.10008.1.1", scu.STUDY, scu.ST


def test_echo_is_answered_and_written_down(plain):
    before = len(plain.transcript)
    with scu.associated(plain, VERIFICATION, calling="ECHOER") as association:
        assert association.send_c_echo(msg_id=5).Status == 0x0000
    opened, echo = plain.transcript[before:]
    assert (opened.service, opened.calling, opened.called) == ("A-ASSOCIATE", "ECHOER", "DEMO")
    assert [name for name, _ in opened.contexts] == [VERIFICATION]
    assert (echo.service, echo.message_id, echo.identifier) == ("C-ECHO", 5, None)


def test_the_transcript_holds_the_identifier_of_a_query(plain):
    scu.find(plain, "STUDY", PatientName="Doe*")
    last = plain.requests("C-FIND")[-1]
    assert last.identifier.PatientName == "Doe*" and last.sop_class == STUDY + "1"


def rejection(server, **titles):
    found = Rejection()
    with scu.associated(server, VERIFICATION, handlers=found.handlers, **titles) as association:
        assert not association.is_established
    return found.reason


def test_unknown_titles_and_one_association_too_many_are_rejected():
    with DemoServer(Holdings.of([]), known_callers=["DICOMLAB"]) as server:
        assert rejection(server, called="OTHER") == (1, 1, 7)
        assert rejection(server, calling="STRANGER") == (1, 1, 3)
    with (
        DemoServer(Holdings.of([]), max_associations=1) as server,
        scu.associated(server, VERIFICATION) as association,
    ):
        assert association.is_established
        assert rejection(server) == (2, 3, 2)


def test_a_class_that_is_not_offered_is_result_3(plain):
    with scu.associated(plain, VERIFICATION, "1.2.840.10008.5.1.4.34.6.1") as association:
        assert [each.result for each in association.rejected_contexts] == [3]


def test_it_ends_completely_twice_over_and_its_port_is_free():
    before = set(threading.enumerate())
    server = DemoServer(Holdings.t31())
    with scu.associated(server, VERIFICATION) as association:
        assert association.is_established
        server.stop()
        server.stop()
        assert not server.running
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((server.host, server.port))
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - before


def test_python_ends_though_it_still_runs_and_an_association_is_open():
    code = """
from pynetdicom import AE
from dicomlab.demo import DemoServer, Holdings
import socket, time
server = DemoServer(Holdings.of([]))
held = socket.create_connection((server.host, server.port))
print(server.port, time.monotonic())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    port, last = done.stdout.split()
    assert done.returncode == 0 and int(port) > 0 and time.monotonic() - float(last) < 15  # its imports do not count


def test_it_is_up_within_a_second():
    Holdings.sample()  # imports
    began, used = time.monotonic(), time.process_time()
    with DemoServer() as server:
        elapsed, used = time.monotonic() - began, time.process_time() - used
        assert len(server.holdings) == 31 + 48 + 32 + 24 + 32 + 60
    assert used < 1.0 and elapsed < 5.0  # others may want the core too


def test_it_shares_no_code_with_what_it_tests():  # R16.2
    import ast

    folder = Path(sys.modules["dicomlab.demo"].__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name != "__main__.py" and isinstance(node, ast.ImportFrom):
                makes = ("net.peer", "net.connecting", "net.association.node")
                assert node.level < 2 or node.module in makes, f"{path.name} imports {node.module}"
                assert not (node.module or "").startswith("pynetdicom.apps")


def run(program, server, *options, **more):
    command = [require_peer(program), "-aet", "DICOMLAB", "-aec", server.ae_title, *options, server.host]
    return subprocess.run([*command, str(server.port)], capture_output=True, text=True, timeout=60, **more)


def test_dcmtk_echoes(server):
    assert run("echoscu", server).returncode == 0


def test_dcmtk_finds_six_studies(server, tmp_path):
    done = run("findscu", server, "-S", "-X", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", cwd=tmp_path)
    assert done.returncode == 0 and len(list(tmp_path.iterdir())) == 6, done.stderr


def test_dcmtk_gets_what_the_files_hold_bit_for_bit(server, tmp_path):
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={ST}")
    done = run("getscu", server, "-S", "+B", *keys, "-od", str(tmp_path))
    files = [pydicom.dcmread(path) for path in tmp_path.iterdir()]
    assert done.returncode == 0 and len(files) == 11, done.stderr
    held = {each.uid: each for each in server.holdings}
    assert all(each.PixelData == held[each.SOPInstanceUID].dataset().PixelData for each in files)


def test_dcmtk_moves_to_itself(server, tmp_path):
    from support import free_port

    port = free_port()
    server.destinations["DICOMLAB"] = ("127.0.0.1", port)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={ST}")
    done = run("movescu", server, "-S", *keys, "-aem", "DICOMLAB", "+P", str(port), "-od", str(tmp_path))
    assert done.returncode == 0 and len(list(tmp_path.iterdir())) == 11, done.stderr


@pytest.mark.parametrize("called", ["WRONG"])
def test_dcmtk_is_told_that_the_title_is_unknown(plain, called):
    command = [require_peer("echoscu"), "-aec", called, plain.host, str(plain.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "Called AE Title Not Recognized" in done.stderr + done.stdout
