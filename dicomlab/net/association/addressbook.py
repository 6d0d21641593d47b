"""The named nodes of a user, in nodes.toml (R1.3)."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ...errors import InvalidRequest, did_you_mean
from ...markup import Html, printable, tag
from .node import Node, Quirks, Timeouts
from .tls import TLS
from .useridentity import UserIdentity


def nodes_file() -> Path:
    """Where nodes.toml is: the file or folder in DICOMLAB_CONFIG, else the user's config folder."""
    given = os.environ.get("DICOMLAB_CONFIG")
    if given:
        path = Path(given).expanduser()
        return path if path.suffix == ".toml" else path / "nodes.toml"
    from platformdirs import user_config_path

    return user_config_path("dicomlab") / "nodes.toml"


class Nodes(Mapping[str, Node]):
    """The named nodes of one nodes.toml; `add`, `remove` and `save` change it.

    Examples
    --------
    >>> book = Nodes(Path("no such file.toml"))
    >>> book.add("research", Node("RESEARCH", "10.0.0.5", 104))
    >>> book["research"].identity
    'RESEARCH@10.0.0.5:104'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._nodes: dict[str, Node] = {}
        if path.exists():
            text, tables = _read(path)
            for name, entry in tables.items():
                self._nodes[name] = _entry(path, text, name, entry)

    def __getitem__(self, name: str) -> Node:
        if name not in self._nodes:
            known = ", ".join(sorted(self._nodes)) or "none"
            raise InvalidRequest(
                f"there is no node {name!r}{did_you_mean(name, list(self._nodes))}",
                advice=f'Nodes of {self.path}: {known}. Or write the address: "AET@host:port".',
            )
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __repr__(self) -> str:
        lines = [f"{printable(name)}: {node.identity}" for name, node in self._nodes.items()]
        return "\n".join(lines) or f"no nodes yet ({self.path})"

    def _repr_html_(self) -> Html:
        if not self._nodes:
            return tag("p", repr(self))
        heads = tag("tr", [tag("th", head) for head in ("name", "address", "we are", "we may")])
        lines = [
            tag("tr", tag("th", name), [tag("td", one) for one in (node.identity, node.calling, _may(node))])
            for name, node in self._nodes.items()
        ]
        return tag("table", tag("caption", f"nodes of {self.path}"), heads, lines)

    def add(self, name: str, node: str | Node) -> None:
        """Add or change a node, also given as "AET@host:port"; `save` keeps it."""
        self._nodes[_node_name(name)] = replace(Node.of(node), name=name)

    def remove(self, name: str) -> None:
        """Forget a node; `save` keeps that."""
        self[name]
        del self._nodes[name]

    def save(self) -> None:
        """Write nodes.toml, mode 0600, whole or not at all.

        Raises
        ------
        InvalidRequest
            It cannot be written, or a node holds a secret.
        """
        text = "\n".join(_toml(name, node) for name, node in self._nodes.items())
        temporary = self.path.with_name(self.path.name + f".{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            raise InvalidRequest(
                f"{self.path} cannot be written ({error.strerror})",
                advice="Name another folder or file in the environment variable DICOMLAB_CONFIG.",
            ) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


_WORDS: dict[type, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes", dict: "a table",
}  # fmt: skip


def _may(node: Node) -> str:
    return ", ".join(sorted(node.allow)) or "only read"


def nodes() -> Nodes:
    """The named nodes of this user (see `nodes_file`)."""
    return Nodes(nodes_file())


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and tables of a nodes.toml."""
    if not path.is_file():  # to open a pipe would wait for ever
        raise InvalidRequest(f"{path} is no regular file", advice="DICOMLAB_CONFIG names a folder or a file.")
    try:
        if path.stat().st_size > LIMIT:
            raise OSError(f"it has more than {LIMIT:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        toml = isinstance(error, tomllib.TOMLDecodeError)
        advice = 'Texts stand in quotes: ae_title = "ARCHIVE"; numbers do not: port = 104.' if toml else ""
        raise InvalidRequest(f"{path}: {error}", advice=advice) from error
    except (RecursionError, ValueError):  # of the parser: thousands of brackets or digits
        raise InvalidRequest(f"{path} cannot be read: its tables are too deep, or a number is too long") from None


def _node_name(name: str) -> str:
    """A name that a node may have."""
    if not isinstance(name, str) or "@" in name or not name.strip() or not name.isprintable():
        raise InvalidRequest(f"{name!r} is no name for a node", advice="Any word without @.")
    return name


_KEYS: dict[str, type] = {
    "ae_title": str,
    "host": str,
    "port": int,
    "calling": str,
    "move_ae": str,
    "listen": int,
    "listen_host": str,
    "associations": int,
    "allow": list,
    "timeouts": Timeouts,
    "quirks": Quirks,
    "tls": TLS,
    "listen_tls": TLS,
    "user": UserIdentity,
}
LIMIT = 1 << 20  # bytes of a nodes.toml
_SECRETS = ("password", "passcode", "token")
_SECURITY: dict[type, dict[str, type]] = {
    table: {
        item.name: {"ciphers": list, "name": str}.get(item.name, type(item.default))
        for item in fields(table)
        if item.name not in _SECRETS
    }
    for table in (TLS, UserIdentity)
}


def _entry(path: Path, text: str, name: str, entry: Any) -> Node:
    def wrong(key: str, why: str, advice: str = "") -> InvalidRequest:
        line = _line(text, name, *key.split("."))
        which = f"node {name!r}, {key}: {why}" if key else f"{name!r} {why}"
        return InvalidRequest(f"{path}, line {line}: {which}", advice=advice)

    def typed(key: str, value: Any, kind: type) -> Any:
        if kind is TLS and isinstance(value, bool):
            return value
        if kind in (Timeouts, Quirks, TLS, UserIdentity):
            if not isinstance(value, dict):
                raise wrong(key, "takes a table")
            kinds = {item.name: type(item.default) if kind is Quirks else float for item in fields(kind)}
            for secret in set(_SECRETS) & set(value):
                raise wrong(key, f"a {secret} is never in this file", f"Write {secret}_variable = its variable.")
            kinds = _SECURITY.get(kind, kinds)
            return kind(**{inner: known(f"{key}.{inner}", item, kinds) for inner, item in value.items()})
        if kind in (list, tuple):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise wrong(key, f"takes a list of texts, not {value!r}")
            return tuple(value)
        if type(value) is not kind and not (kind is float and type(value) is int):
            hidden = key.endswith("_variable")  # somebody may have written the secret itself there
            given = _WORDS.get(type(value), "that") if hidden else repr(value)
            raise wrong(key, f"takes {_WORDS.get(kind, 'another type')}, not {given}")
        return value

    def known(key: str, value: Any, kinds: Mapping[str, type]) -> Any:
        table, _, last = key.rpartition(".")
        if last not in kinds:
            raise wrong(
                key,
                f"is no key of {table or 'a node'}{did_you_mean(last, list(kinds))}",
                f"Keys are {', '.join(kinds)}.",
            )
        return typed(key, value, kinds[last])

    try:
        _node_name(name)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}, line {_line(text, name)}: {error.message}", advice=error.advice) from None
    if not isinstance(entry, dict):
        raise wrong("", "is no table", f"Write [{name}] and below it ae_title, host and port.")
    for key in ("ae_title", "host", "port"):
        if key not in entry:
            raise wrong(key, "is missing")
    values = {}
    plain = Node("A", "localhost", 1)
    for key, value in entry.items():
        try:
            values[key] = known(key, value, _KEYS)
            replace(plain, **{key: values[key]})  # refuses what this key may not be
        except InvalidRequest as error:
            if str(path) in error.message:
                raise
            raise wrong(key, error.message, error.advice) from error
    return Node(name=name, **values)


def _line(text: str, name: str, *keys: str) -> int:
    """Number of the line of the innermost of those keys in the node's table; of the table where there is none."""
    inside, found, depth = name in keys, 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*\"?([^\"\].]+)\"?\.?([^\]]*)", line)
        if header:
            inside = header[1].strip() == name
            if inside and not depth:
                found = number
        elif inside:
            for level, key in enumerate(keys, 1):
                if level > depth and key and re.search(rf"(^|[{{,.])\s*\"?{re.escape(key)}\"?\s*[=.]", line):
                    found, depth = number, level
    return found


def _toml(name: str, node: Node) -> str:
    def value(item: Any) -> str:
        if isinstance(item, bool):
            return str(item).lower()
        if isinstance(item, frozenset | tuple):
            inner = sorted(item) if isinstance(item, frozenset) else item
            return "[" + ", ".join(value(part) for part in inner) + "]"
        if isinstance(item, str):
            return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
        return repr(item)

    lines = [f"[{value(name)}]"]
    plain = replace(Node(node.ae_title, node.host, node.port), move_ae=node.calling)
    for key in _KEYS:
        item = getattr(node, key)
        if any(getattr(item, secret, None) is not None for secret in _SECRETS):
            raise InvalidRequest(
                f"node {name!r}, {key}: a function that gives a secret cannot be kept in a file",
                advice="Give password_variable=, passcode_variable= or token_variable=: the name of an environment "
                "variable.",
            )
        if item == TLS():
            lines.append(f"{key} = true")
        elif isinstance(item, Timeouts | Quirks | TLS | UserIdentity):
            base = UserIdentity(item.name + "-") if isinstance(item, UserIdentity) else type(item)()
            inner = [
                f"{part.name} = {value(getattr(item, part.name))}"
                for part in fields(item)
                if getattr(item, part.name) != getattr(base, part.name)
            ]
            if inner:
                lines.append(f"{key} = {{ {', '.join(inner)} }}")
        elif key in ("ae_title", "host", "port") or item != getattr(plain, key):
            lines.append(f"{key} = {value(item)}")
    return "\n".join(lines) + "\n"
