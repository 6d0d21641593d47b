"""Who searches the page of messages for what an error said finds it there, under the name of its type."""

from __future__ import annotations

import re
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from canned import archive, match
from pydicom.data import get_testdata_file
from support import ROOT, free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Manners
from dicomlab.net.association.node import Timeouts

PAGE = (ROOT / "docs/guide/troubleshooting.md").read_text(encoding="utf-8")
ABORT = bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))


class Row(NamedTuple):
    """A row of the page: texts, of which one is in the message in these parts, and the type."""

    texts: list[list[str]]
    type: str


def rows() -> Iterator[Row]:
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            said, kind = line.split("|")[1:3]
            texts = [re.findall(r"`([^`]+)`", f"`{text.strip(' `')}`") for text in said.split("`, `")]
            yield Row(texts, kind.strip(" `"))


def kinds() -> list[str]:
    """Every error and warning that is raised by its own name."""
    found = [one for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__]
    return sorted(one.__name__ for one in found if one is not errors.DicomlabError)


def test_every_type_of_error_is_on_the_page() -> None:
    assert sorted({row.type for row in rows()}) == kinds()


def test_a_message_that_is_explained_is_one_of_ours() -> None:
    parts = [part for row in rows() for text in row.texts for part in text]
    assert len(parts) > 60
    source = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "dicomlab").rglob("*.py")))
    source = " ".join(re.sub(r'"\s*\n\s*f?"', "", source).split())  # messages written over two lines
    assert [part for part in parts if part not in source] == []


# -- what each says, provoked --------------------------------------------------------------------------------------


@contextmanager
def answering(what: bytes | None) -> Iterator[str]:
    """The address of somebody who answers the first bytes with these, and closes; None takes nobody in."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                connection.recv(4096)
                connection.sendall(what or b"")

        thread = threading.Thread(target=answer, daemon=True)
        if what is not None:
            thread.start()
        yield f"NOBODY@127.0.0.1:{server.getsockname()[1]}"
    if what is not None:
        thread.join(10)


def echo(what: bytes | None, **settings: Any) -> None:
    with answering(what) as address:
        dl.connect(address, timeout=Timeouts(association=0.5), **settings).echo()


def of(manners: Manners, ask: Callable[[Any], object]) -> None:
    with dl.demo_pacs(manners=manners) as pacs:
        ask(pacs)


def ct(pacs: Any) -> Any:
    return pacs.find("SERIES", Modality="CT").head(1)


def halting(_: Path) -> None:
    over = threading.Event()

    def answer(_: Any) -> Iterator[tuple[int, Any]]:
        over.wait(5)
        yield 0x0000, None

    with archive(answer) as address:
        try:
            dl.connect(address, timeout=0.3).find(PatientID="1")
        finally:
            over.set()


def refusing(_: Path) -> None:
    with archive(lambda _: [(0xA700, None)]) as address:
        dl.connect(address).find(PatientID="1")


def interrupted(_: Path) -> None:
    def stop(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with archive(lambda _: [(0xFF00, match(PatientID="1", StudyInstanceUID="1.2")), (0x0000, None)]) as address:
        dl.connect(address).find(PatientID="1", on_match=stop)


def hooked(event: str, change: Callable[[Any], object], ask: Callable[[Any], object]) -> None:
    with dl.demo_pacs() as pacs:
        pacs.hooks.add(event, change)
        ask(pacs)


def unreadable(event: Any) -> None:
    event.change(data=b"\xff" * 9)
    event.dataset()


def text_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("only notes")
    dl.load(folder / "notes.txt")


def no_folder(folder: Path) -> None:
    (folder / "file").write_text("")
    dl.connect("A@127.0.0.1:104", cache=folder / "file")


def without(name: str) -> None:
    volume = dl.load(get_testdata_file("rtdose.dcm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, None)
        volume.dicom.to_nibabel()


def cannot(_: Any) -> None:
    raise OSError("no room")


def strict(pacs: Any) -> None:
    with pacs.log_to(cannot, strict=True):
        pacs.echo()


def warned(_: Path) -> None:
    with warnings.catch_warnings(), dl.demo_pacs() as pacs:
        warnings.simplefilter("error", errors.ResultWarning)
        pacs.find("SERIES", PatientID="", limit=1)


PLAIN = Manners()
PROVOKED: dict[str, Callable[[Path], object]] = {
    "AssociationAborted": lambda _: echo(ABORT),
    "AssociationRejected": lambda _: of(PLAIN, lambda pacs: pacs.at(f"OTHER@127.0.0.1:{pacs.node.port}").echo()),
    "AssociationTimeout": lambda _: echo(None),
    "BadData": lambda _: hooked("before C-FIND-RQ", unreadable, ct),
    "BadFile": text_file,
    "CacheError": no_folder,
    "ConnectError": lambda _: dl.connect(f"NOBODY@127.0.0.1:{free_port()}").echo(),
    "ConnectionLost": lambda _: echo(b""),
    "DimseTimeout": halting,
    "GeometryError": lambda _: dl.load(get_testdata_file("rtdose.dcm")).drop_vars("geometry").dicom.affine,
    "IncompleteRetrieve": lambda _: hooked(
        "before C-STORE-RQ", lambda event: event.change(data=b""), lambda pacs: pacs.retrieve(ct(pacs))
    ),
    "IncompleteStore": lambda _: of(
        Manners(store_status=0xA700), lambda pacs: pacs.store(get_testdata_file("CT_small.dcm"))
    ),
    "Interrupted": interrupted,
    "InvalidRequest": lambda _: dl.connect("A@127.0.0.1:104").find(),
    "LogError": lambda _: of(PLAIN, strict),
    "MediaFailed": lambda _: of(Manners(media_states=("FAILURE",)), lambda pacs: pacs.create_media(ct(pacs))),
    "MissingCodec": lambda _: without("nibabel"),
    "NoAcceptedContext": lambda _: of(Manners(print_classes=frozenset()), lambda pacs: pacs.printer()),
    "ProtocolError": lambda _: echo(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "ResultWarning": warned,
    "StatusError": refusing,
    "TLSVerificationError": lambda _: echo(b"HTTP/1.1 400 Bad Request\r\n\r\n", tls=True),
    "UnknownName": lambda _: dl.load_all(get_testdata_file("CT_small.dcm"))["chest"],
}


def test_every_type_is_provoked() -> None:
    assert sorted(PROVOKED) == kinds()


@pytest.mark.parametrize("kind", sorted(PROVOKED))
def test_an_error_is_found_on_the_page_by_what_it_says(kind: str, tmp_path: Path) -> None:
    with pytest.raises(getattr(errors, kind)) as caught:
        PROVOKED[kind](tmp_path)
    assert type(caught.value).__name__ == kind
    said = str(caught.value)
    found = [row for row in rows() if row.type == kind and any(all(part in said for part in one) for one in row.texts)]
    assert found, said
