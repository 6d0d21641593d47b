"""Every call of the system fails once: nothing is lost, nothing damaged, nothing left over (F1)."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from failing import CODES, Failing, no_threads, sweep
from received import CT, EXPLICIT, NODE, SIDE, Where, data_set
from slow_scp import serving
from support import free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache, Outcome
from dicomlab.cache.cachefolder import inspect
from dicomlab.disk import leftovers
from dicomlab.net.association.node import Node

PIXELS = bytes(range(256)) * 1024 * 3  # more than is gathered before a write
KEPT = (Outcome.STORED, Outcome.DUPLICATE)


def made(folder: Path) -> Cache:
    return Cache(folder / "cache", index=folder / "index" / "index.sqlite")


def check(folder: Path, node: str, answered: set[str], patch: pytest.MonkeyPatch) -> None:
    """The next start finds whole files alone, all that were answered, and sweeps what was left over."""
    with patch.context() as dead, made(folder) as cache:
        dead.setattr(leftovers, "_alive", lambda process: False)
        cache.open()
        assert not list(cache.root.glob("incoming/*"))
        finals = [path for path in cache.root.glob("?/*") if path.is_file()]
        for path in finals:
            assert inspect(path) is not None and pydicom.dcmread(path).SOPInstanceUID
        assert answered <= cache.known(node, [Where(study="1.2.9")])
        assert answered <= cache.known(node, [Where(instance=uid) for uid in answered])
        assert cache.verify() == []


def receive(cache: Cache, uid: str, answered: set[str], pixels: bytes | None = None, **options: Any) -> Any:
    data = data_set(uid, study="1.2.9", pixels=pixels)
    receipt = cache.receive(NODE, data, sop_class=CT, sop_instance=uid, transfer_syntax=EXPLICIT, **options)
    assert receipt.outcome in (*KEPT, Outcome.FULL), receipt.why
    assert (receipt.error is not None) == (receipt.outcome is Outcome.FULL)
    if receipt.outcome in KEPT:
        answered.add(uid)
    return receipt


def use(cache: Cache, answered: set[str]) -> None:
    """All that a cache does: instances small and large, twice, anew, bad ones, and questions."""
    receive(cache, "1.2.9.1", answered)
    receive(cache, "1.2.9.2", answered, PIXELS)
    receive(cache, "1.2.9.1", answered)
    receive(cache, "1.2.9.1", answered, b"\1" * (2 * SIDE * SIDE), replace=True)
    bad = cache.receive(NODE, b"noise", sop_class=CT, sop_instance="1.2.9.7", transfer_syntax=EXPLICIT)
    assert bad.outcome in (Outcome.BAD, Outcome.FULL)
    try:
        assert cache.known(NODE, [Where(study="1.2.9")]) >= answered
    except errors.CacheError as error:
        assert error.advice
    cache.sync()




@pytest.mark.parametrize(
    ("code", "every"),
    [(errno.ENOSPC, 1), (errno.EACCES, 5), *(pytest.param(code, 1, marks=pytest.mark.soak) for code in CODES)],
)
def test_a_cache_in_use_stands_the_failure_of_any_call(code: int, every: int, tmp_path: Path) -> None:  # F1, R14.6
    for number in sweep(400, every):
        folder = tmp_path / str(number)
        answered: set[str] = set()
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, number, code)
            with made(folder) as cache:
                use(cache, answered)
        check(folder, NODE, answered, patch)
        if not failing.failed:
            break
    print(f"{number - 1} calls, each failed once")
    assert answered == {"1.2.9.1", "1.2.9.2"} and number > 60


def test_any_write_may_come_back_short(tmp_path: Path) -> None:  # F1
    for number in sweep(400):
        folder = tmp_path / str(number)
        answered: set[str] = set()
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, number, 0)
            with made(folder) as cache:
                use(cache, answered)
        assert answered == {"1.2.9.1", "1.2.9.2"}
        check(folder, NODE, answered, patch)
        if not failing.failed:
            break
    assert number > 20


@pytest.mark.parametrize(
    ("method", "code", "every"),
    [
        ("get", errno.ENOSPC, 2),
        ("move", errno.EIO, 3),
        *(pytest.param(method, code, 1, marks=pytest.mark.soak) for method in ("get", "move") for code in CODES),
    ],
)
def test_a_retrieve_stands_the_failure_of_any_call(method: str, code: int, every: int, tmp_path: Path) -> None:
    """F1: what was answered 0x0000 is here, the error says what to do, and the next call fetches the rest."""
    with serving(0, 3, move_port=free_port()) as server:
        node = Node("SLOW", "127.0.0.1", server.server_address[1], listen=server.move_port)
        for number in sweep(400, every):
            folder = tmp_path / str(number)
            server.answers.clear()
            with pytest.MonkeyPatch.context() as patch, dl.connect(node, cache=made(folder), timeout=10) as slow:
                failing = Failing(patch, number, code)
                error = retrieved(slow, method)
                slow.cache.close()
            assert no_threads()
            assert error is None or ((error.peer or isinstance(error, errors.CacheError)) and error.advice)
            statuses = {status for _, status in server.answers}
            assert statuses <= {0x0000, 0xA700}
            if isinstance(error, errors.IncompleteRetrieve):
                assert error.missing and str(folder) in str(error)
                assert len(error.instances) + len(error.missing) == 3
            check(folder, node.identity, {uid for uid, status in server.answers if status == 0}, patch)
            with dl.connect(node, cache=made(folder), timeout=10) as slow:
                assert len(slow.retrieve("1.2.9", method=method, progress=False)) == 3
                slow.cache.close()
            if not failing.failed:
                print(f"{number - 1} calls, each failed once")
                assert error is None and number > 25
                return


def retrieved(slow: dl.Peer, method: str) -> errors.DicomlabError | None:
    """The error that a retrieve ends with, None where it brings all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        try:
            assert len(slow.retrieve("1.2.9", method=method, progress=False)) == 3
        except (errors.IncompleteRetrieve, errors.CacheError) as error:
            return error
    return None


def test_a_process_that_may_open_no_more_files_expels_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered: set[str] = set()
    with made(tmp_path) as cache:
        path = receive(cache, "1.2.9.1", answered).path
        os.utime(path)  # so that it is looked at
        real = os.open

        def short(name: Any, *arguments: Any, **options: Any) -> int:
            if Path(name) == path:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(name, *arguments, **options)

        monkeypatch.setattr(os, "open", short)
        assert cache.known(NODE, [Where(study="1.2.9")]) == set()
        assert receive(cache, "1.2.9.1", set()).outcome is Outcome.FULL
        monkeypatch.undo()
        assert cache.known(NODE, [Where(study="1.2.9")]) == answered and path.exists()
