"""One data set on its way into the cache: written while it arrives, kept whole or not at all (DESIGN 5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING

import xxhash

from ..datasets import filemeta, whole
from ..datasets.encoding import walk
from ..datasets.inflating import inflate
from ..datasets.uids import BIG_ENDIAN, DEFLATED, IMPLICIT, NATIVE
from ..errors import BadData, CacheError
from ..scanning.instances import WANTED
from .cachefolder import CacheFolder
from .draft import Draft

if TYPE_CHECKING:
    from ..datasets.elements import Elements
    from .cache import Receipt

LATER = 1 << 62  # bytes: the size of a data set that still arrives
FIRST = 8192  # bytes in which most headers end
HELD = 2 << 30  # bytes of a data set that are held in memory, where the file cannot begin yet (R0.8)
STREAMED = frozenset((DEFLATED, BIG_ENDIAN))  # transfer syntaxes that are read when all is there
_UID = re.compile(r"[0-9.]*[0-9][0-9.]*\Z")
_NO_DIGEST = "0" * 32


class Arrival:
    """The bytes of one C-STORE, from `room` to `room`; then `finish`, or `discard`.

    The header is read as soon as the pixel data begins; from then on the bytes go to a temporary file while the
    archive sends the next ones, so that memory does not grow with the instance. What has no pixel data, or is
    small, stays in memory until it is whole; beyond `HELD` bytes it is let go by.

    Parameters
    ----------
    folder
        Where the temporary file is made.
    node
        Identity of the peer, ``"AET@host:port"``.
    sop_class, sop_instance
        Affected SOP Class UID and Affected SOP Instance UID of the C-STORE request.
    transfer_syntax
        UID of the transfer syntax of the presentation context.
    settle
        Called by `finish` with this object; it says what became of it.
    """

    def __init__(
        self,
        folder: CacheFolder,
        node: str,
        sop_class: str,
        sop_instance: str,
        transfer_syntax: str,
        settle: Callable[[Arrival], Receipt],
    ) -> None:
        self.node, self.sop_class, self.sop_instance = node, sop_class, sop_instance
        self.transfer_syntax = transfer_syntax
        self.size = 0  # bytes of the data set
        self.digest = ""  # xxh3_128 of the data set
        self.uid = sop_instance  # of the data set, once its header is read; so is sop_class
        self.study = self.series = ""  # Study and Series Instance UID
        self.elements: Elements | None = None
        self.bad = ""  # why it is no whole data set
        self.gone = False  # its bytes were let go by, so that none can be put anywhere
        self.error: OSError | CacheError | None = None  # the disk did not take it; the rest is let go by
        self.remarks: list[str] = []
        self._folder, self._settle = folder, settle
        self._hash = xxhash.xxh3_128()
        self._buffer = folder.borrow()
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._draft: Draft | None = None
        self._sealed = False
        self._done = False

    # -- while it arrives ------------------------------------------------------------------------------------

    def room(self, length: int) -> memoryview:
        """Where the next `length` bytes belong; those of the call before are there by now."""
        if self._filled + length > len(self._buffer):
            self._make_room(length)
        start = self._filled
        self._filled += length
        return self._view[start : self._filled]

    def _make_room(self, length: int) -> None:
        if self.gone or self._draft is not None or self._begin():
            self._write(self._view[: self._filled])
            self._filled = 0
        elif self._filled + length > HELD:
            self.bad = f"more than {HELD:,} bytes of it would have to be held in memory"
            self._let_go()
        if self._filled + length > len(self._buffer):
            grown = bytearray(max(self._filled + length, min(2 * len(self._buffer), HELD)))
            grown[: self._filled] = self._view[: self._filled]
            self._buffer, self._view = grown, memoryview(grown)

    def _begin(self) -> bool:
        """Start the file if the bytes so far hold the header; else they stay in memory."""
        from ..datasets.elements import Elements, grow

        if self.transfer_syntax in STREAMED:
            return False
        implicit = self.transfer_syntax == IMPLICIT

        def read(size: int) -> bytes:
            if size > self._filled:
                raise BadData("the header goes on")
            return bytes(self._view[:size])

        try:
            first = min(FIRST, self._filled)
            elements = grow(read, first, LATER, lambda window: Elements(*walk(window, 0, LATER, implicit, WANTED)))
            if elements.pixels is None:
                return False
            self._describe(elements)
            self._draft = self._folder.draft(len(self.head()))
        except BadData:  # what is wrong with it is said when all is there
            self.elements = None
            return False
        except OSError as error:
            self.fail(error)
        return True

    def _write(self, part: memoryview) -> None:
        self._hash.update(part)
        self.size += len(part)
        if self._draft is None or self.gone:
            return
        try:
            self._draft.write(part)
        except OSError as error:
            self.fail(error)
            self._draft.discard()

    def fail(self, error: OSError | CacheError) -> None:
        """It cannot be kept: what still comes is let go by."""
        self.error, self.gone = error, True

    def _let_go(self) -> None:
        self._write(self._view[: self._filled])
        self._filled, self.gone = 0, True
        self._buffer = self._folder.borrow()
        self._view = memoryview(self._buffer)

    def _describe(self, elements: Elements) -> None:
        implicit = self.transfer_syntax == IMPLICIT
        if self.transfer_syntax not in STREAMED and elements.implicit != implicit:
            agreed, found = ("implicit", "explicit") if implicit else ("explicit", "implicit")
            raise BadData(f"it is encoded with {found} VR, {agreed} VR was agreed")
        self.uid, self.study, self.series = _uids(elements, self.sop_instance)
        self.sop_class = elements.text("SOPClassUID") or self.sop_class
        self.elements = elements
        elements.raw[0x00020010] = ("UI", self.transfer_syntax.encode("ascii", "replace"))

    def discard(self) -> None:
        """Forget it: nothing of it is left."""
        if not self._done:
            self._done = True
            if self._draft is not None:
                self._draft.discard()
            self._folder.give_back(self._buffer)

    # -- when all is there -----------------------------------------------------------------------------------

    def finish(self) -> Receipt:
        """Check it and keep it, or say why not."""
        try:
            self._complete()
            return self._settle(self)
        finally:
            self.discard()

    def _complete(self) -> None:
        tail = self._view[: self._filled]
        self._hash.update(tail)
        self.size += len(tail)
        self.digest = self._hash.hexdigest()
        if self.gone:
            return
        try:
            if self._draft is None:
                self._check_memory(tail)
            else:
                self._draft.write(tail)
                self._check_file(self._draft)
        except BadData as error:
            self.bad = str(error)
        except OSError as error:
            self.error = error

    def _check_memory(self, data: memoryview) -> None:
        from ..datasets.elements import parse

        if not len(data):
            raise BadData("no data set came")
        if self.transfer_syntax == BIG_ENDIAN:
            elements, remark = whole.read_big_endian(data, WANTED)
        else:
            plain: bytes | memoryview = inflate(data) if self.transfer_syntax == DEFLATED else data
            elements = parse(plain, implicit=self.transfer_syntax == IMPLICIT, wanted=WANTED)
            remark = whole.check(plain, elements, self.transfer_syntax)
        self._describe(elements)
        self._remark(remark)

    def _check_file(self, draft: Draft) -> None:
        assert self.elements is not None and self.elements.pixels is not None
        _, start, length = self.elements.pixels
        if start + length == self.size and self.transfer_syntax in NATIVE:  # nothing else to look at
            whole.check_native(self.elements, length)
            self._remark("")
            return
        with mmap(draft.handle, 0, access=ACCESS_READ) as file, memoryview(file) as view, view[draft.start :] as data:
            self._remark(whole.check(data, self.elements, self.transfer_syntax))

    def _remark(self, odd: str) -> None:
        assert self.elements is not None
        if odd:
            self.remarks.append(odd)
        if self.uid != self.sop_instance:
            self.remarks.append(f"the command named it {self.sop_instance!r}, the data set {self.uid!r}")
        if not self.study and self.sop_class.startswith("1.2.840.10008.5.1.4.1.1."):
            self.remarks.append("it has no Study Instance UID")
        if len(self.uid) > 64:
            self.remarks.append(f"its SOP Instance UID has {len(self.uid)} characters, 64 are allowed")

    def head(self) -> bytes:
        """Preamble and file meta; of the same length before and after the data set is known."""
        provenance = filemeta.Provenance(self.node, self.digest or _NO_DIGEST, self.size)
        return filemeta.head(self.sop_class, self.uid, self.transfer_syntax, provenance)

    def seal(self) -> Draft:
        """The temporary file, whole and closed.

        Raises
        ------
        OSError
            The disk does not take it.
        """
        if self._sealed:
            assert self._draft is not None
            return self._draft
        head = self.head()
        if self._draft is None:
            self._draft = self._folder.draft(len(head))
            self._draft.write(self._view[: self._filled], head)
            self._draft.close()
        else:
            self._draft.close(head)
        self._sealed = True
        return self._draft


def _uids(elements: Elements, sop_instance: str) -> tuple[str, str, str]:
    """SOP, Study and Series Instance UID; `BadData` where one holds what no UID holds (PS3.5 9.1)."""
    instance, study, series = (elements.text(f"{word}InstanceUID") for word in ("SOP", "Study", "Series"))
    if not instance:
        raise BadData("it has no SOP Instance UID", tag="00080018")
    tags = ("00080018", "0020000D", "0020000E", "00001000")
    for uid, tag in zip((instance, study, series, sop_instance), tags, strict=True):
        if uid and not _UID.match(uid):
            raise BadData(f"{uid[:80]!r} is no UID", tag=tag)
    return instance, study, series
