"""What a function is: its name, and a digest of its code and of the values that it was written with."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType
from typing import Any

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(function: Callable[..., Any]) -> tuple[str, str]:
    """The name of a function, and a digest of what it computes, "" where there is none; the same in another kernel.

    The digest is of its code, of its defaults, of what `functools.partial` or an object gives it, of the numbers and
    texts that it finds in its module or around it, and of the functions of the same module that it calls.

    Examples
    --------
    >>> limit = 3
    >>> def above(volume): return volume > limit
    >>> before = fingerprint(above)
    >>> fingerprint(above) == before, fingerprint(partial(above, 3)) == before
    (True, False)
    """
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    parts = list(_parts(function, set()))
    if not any(isinstance(part, bytes) for part in parts):
        return name, ""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass"))
    return name, digest.hexdigest()


def _parts(function: Any, seen: set[int]) -> Iterator[bytes | str]:
    """What is digested: code as bytes, and values as text."""
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, partial):
        yield _text((function.args, function.keywords))
        yield from _parts(function.func, seen)
    elif isinstance(function, MethodType):
        yield _text(getattr(function.__self__, "__dict__", {}))
        yield from _parts(function.__func__, seen)
    elif isinstance(function, FunctionType):
        yield from _code(function.__code__)
        yield _text((function.__defaults__, function.__kwdefaults__))
        for word, value in sorted(_found(function).items()):
            if isinstance(value, (*_PLAIN, tuple, frozenset)):  # what may be changed may be changed by the function
                yield word + _text(value)
            elif isinstance(value, FunctionType) and value.__module__ == function.__module__:
                yield from _parts(value, seen)
    elif isinstance(call := getattr(function, "__call__", None), MethodType):  # noqa: B004, an object's own
        yield from _parts(call, seen)


def _found(function: FunctionType) -> dict[str, Any]:
    """What it finds by name in its module and around it, and does not itself change."""
    read, written = set[str](), set[str]()
    for code in _all(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                read.add(step.argval)
            elif step.opname in ("STORE_GLOBAL", "STORE_DEREF"):
                written.add(step.argval)
    found = {word: function.__globals__[word] for word in read if word in function.__globals__}
    for word, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[word] = cell.cell_contents
        except ValueError:  # nothing is in it yet
            continue
    return {word: value for word, value in found.items() if word not in written}


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all(constant)


def _code(code: CodeType) -> Iterator[bytes]:
    for one in _all(code):
        constants = [_text(constant) for constant in one.co_consts if not isinstance(constant, CodeType)]
        yield one.co_code + repr((one.co_names, one.co_varnames, constants)).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    """A value as text that is the same in another kernel; of one that has none the kind alone."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[_text(one) for one in value]}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(_text, value))}"
    if isinstance(value, dict):
        return f"dict{sorted((_text(name), _text(one)) for name, one in value.items())}"
    return type(value).__qualname__
