"""Frames of one bit a pixel, packed without padding between them (PS3.5 8.1.1, PS3.3 C.8.20)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..datasets.uids import DEFLATED_FRAMES, IN_PLACE, RLE
from ..pixels.decoding import decode
from ..pixels.encapsulated import frame
from ..pixels.pixels import Array, read_into
from .single import File


class BitFrames:
    """The frames of such an object, by their index.

    Raises
    ------
    BadFile
        The pixel data is shorter than its frames, or cannot be decoded.
    MissingCodec
        Its transfer syntax needs a package that is absent.
    """

    def __init__(self, file: File) -> None:
        self._file, form = file, file.form
        self._shape = form.rows, form.columns
        self._size = form.rows * form.columns
        # Decoders give a byte a pixel.
        self._bytes = replace(form, allocated=8, stored=8, high=7, signed=False)
        syntax = file.transfer_syntax
        self._packed: dict[str, Callable[[bytes], bytes]] = {DEFLATED_FRAMES: self._inflated, RLE: self._unpacked}
        self._native = syntax in IN_PLACE

    def __getitem__(self, index: int) -> NDArray[np.bool_]:
        """bool (rows, columns)."""
        syntax = self._file.transfer_syntax
        if self._native:
            return self._bits(self._all, index * self._size)
        if syntax in self._packed:
            data = self._packed[syntax](frame(self._file.path, self._file.place, index, self._file.frames))
            if len(data) >= self._size:  # a byte a pixel after all
                return np.frombuffer(data, np.uint8, self._size).reshape(self._shape) != 0
            return self._bits(np.frombuffer(data, np.uint8), 0)
        return decode(self._file.path, syntax, self._bytes, self._file.place, index, self._file.frames) != 0

    def _bits(self, data: Array, start: int) -> NDArray[np.bool_]:
        first, stop = start // 8, (start + self._size + 7) // 8
        if stop > len(data):
            raise self._file.bad(f"a frame has {len(data)} bytes, {stop} are needed", "7FE00010")
        bits = np.unpackbits(data[first:stop], bitorder="little")[start - 8 * first :][: self._size]
        return bits.view(np.bool_).reshape(self._shape)

    @cached_property
    def _all(self) -> Array:
        """The packed bits of all frames; one does not end where a byte does."""
        (offset, length), needed = self._file.place, (self._size * self._file.frames + 7) // 8
        if length < needed:
            raise self._file.bad(f"the pixel data has {length} bytes, its frames need {needed}", "7FE00010")
        data = np.empty(needed, np.uint8)
        read_into(self._file.path, offset, data)
        return data

    def _inflated(self, data: bytes) -> bytes:
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self._size)
        except zlib.error as error:
            raise self._file.bad(f"a deflated frame is damaged ({error})", "7FE00010") from None

    def _unpacked(self, data: bytes) -> bytes:
        """The one segment of an RLE frame (PS3.5 G.3)."""
        at, found = int.from_bytes(data[4:8], "little"), bytearray()
        if data[:4] != b"\1\0\0\0" or at < 64:
            raise self._file.bad("an RLE frame of one bit a pixel has more than one segment", "7FE00010")
        while at + 1 < len(data) and len(found) < self._size:
            count = data[at]
            if count < 128:
                found += data[at + 1 : at + 2 + count]
                at += 2 + count
            else:
                found += data[at + 1 : at + 2] * (257 - count) if count > 128 else b""
                at += 2 if count > 128 else 1
        return bytes(found)
