"""The transaction log: who asked whom for what, when, and what came of it (R1.16); by hooks on every association."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from ... import phi
from ...errors import BadData, DicomlabError
from ...status import Category
from .hooks import ASSOCIATION, AssociationEvent, Hooks, MessageEvent
from .logfile import LIMIT, Log

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_ASKS: Final = ("C-FIND", "C-GET", "C-MOVE")  # their data set names what is asked for
_NAMED: Final = 100  # UIDs of one attribute that are written
_WAITING: Final = 10_000  # operations without an end that are remembered


class TransactionLog(Log):
    """One line of JSON for each association and each operation; made by `Peer.log_to`.

    An operation is a request with its responses: a C-FIND with its matches, a C-GET, each C-STORE below it. Every line
    has ``kind`` ("association" or "operation"), ``began`` and ``ended`` (UTC), ``user``, ``host``, ``process``,
    ``calling`` (our AE title), ``peer``, the number of the ``association`` and, where it was given, ``reason``.

    - An association: ``state`` ("accepted", "rejected", "failed", "released", "aborted"), ``error`` (the kind of it),
      and ``tls`` where there is TLS.
    - An operation: ``service``, ``direction`` ("sent" by us or "received"), ``message_id``, ``sop_class``, ``level``,
      ``uids`` and ``keys`` (names of the attributes that were asked for), ``sop_instance``, ``status`` (None where no
      response came), ``category``, ``responses``, ``counts`` of sub-operations, ``cancelled``; of an N-ACTION its
      ``action`` and ``transaction``.

    No name, identifier, date or free text is in it, but UIDs are; with ``names=True`` also the values of the keys as
    ``identifier``, and what errors say as ``why``: pseudonyms while ``options.phi`` is off.

    See `Log` for `entries`, `failed` and `error`; ``close()`` ends it.
    """

    states = tuple(name for name in ASSOCIATION if name != "association requested")

    def __init__(
        self,
        hooks: Hooks,
        where: str | os.PathLike[str] | Callable[[dict[str, Any]], object],
        *,
        user: str | None = None,
        reason: str = "",
        names: bool = False,
        strict: bool = False,
        limit: int = LIMIT,
    ) -> None:
        self._who = {"user": _user() if user is None else user, "host": socket.gethostname(), "process": os.getpid()}
        self._reason = reason
        self._open: dict[tuple[int, str, int], dict[str, Any]] = {}
        super().__init__(hooks, where, names=names, strict=strict, limit=limit)

    def _message(self, event: MessageEvent) -> None:
        service, _, kind = event.name.rpartition("-")
        other = "received" if event.direction == "sent" else "sent"
        if service == "C-CANCEL":
            operation = self._open.get((event.association, event.direction, event.message_id))
            if operation is not None:
                operation["cancelled"] = True
            return
        if kind == "RQ":
            if len(self._open) >= _WAITING:
                self._open.pop(next(iter(self._open)), None)
            self._open[event.association, event.direction, event.message_id] = self._request(event, service)
            return
        key = (event.association, other, event.message_id)
        operation = self._open.get(key)
        if operation is None:
            operation = {**self._line("operation", event), "service": service, "direction": other}
        status = event.command.status(service)
        operation["responses"] = operation.get("responses", 0) + 1
        operation["status"] = None if status is None else f"0x{status.code:04X}"
        operation["category"] = None if status is None else str(status.category)
        if counts := event.command.counts():
            operation["counts"] = counts
        if status is not None and status.comment and self._names:
            operation["why"] = phi.said(status.comment)
        if status is None or status.category is not Category.PENDING:
            self._open.pop(key, None)
            self._end(operation)

    def _request(self, event: MessageEvent, service: str) -> dict[str, Any]:
        command = event.command
        line = self._line("operation", event) | {
            "service": service,
            "direction": event.direction,
            "message_id": event.message_id,
            "sop_class": command.sop_class or command.text(0x0003),
        }
        if instance := command.sop_instance or command.text(0x1001):
            line["sop_instance"] = instance
        if kind := command.number(0x1002):
            line["event"] = kind  # Event Type ID
        if destination := command.text(0x0600):
            line["destination"] = destination
        if (action := command.number(0x1008)) is not None:
            line |= {"action": action} | _transaction(event)
        if service in _ASKS:
            line |= self._asked(event)
        return line | {"status": None, "responses": 0}

    def _asked(self, event: MessageEvent) -> dict[str, Any]:
        """Level, UIDs and names of keys of an identifier; and its values where names were asked for."""
        try:
            found = event.dataset()
        except BadData:
            return {}
        if found is None:
            return {}
        uids: dict[str, list[str]] = {}
        for word in _UIDS:
            value = found.get(word)
            several = [str(one) for one in ([value] if isinstance(value, str) else value or [])]
            if several := [one for one in several if one]:
                uids[word] = several[:_NAMED]
                if len(several) > _NAMED:
                    uids[f"{word}s"] = [f"{len(several):,} in all"]
        keys = [element.keyword or f"{element.tag}" for element in found]
        told: dict[str, Any] = {"level": str(found.get("QueryRetrieveLevel", "")), "uids": uids, "keys": keys}
        if self._names:
            told["identifier"] = {
                element.keyword: phi.named(element.keyword, str(element.value))
                for element in found
                if element.keyword and element.VR != "SQ" and element.value
            }
        return told

    def _association(self, event: AssociationEvent) -> None:
        state = event.event.removeprefix("association ")
        line = self._line("association", event) | {"state": state}
        if event.error is not None:
            line["error"] = type(event.error).__name__
            if self._names and isinstance(event.error, DicomlabError):
                line["why"] = event.error.message
        if event.negotiated is not None and event.negotiated.tls is not None:
            line["tls"] = str(event.negotiated.tls)
        if state in ("released", "aborted"):
            for key in [key for key in self._open if key[0] == event.association]:
                self._end(self._open.pop(key))
        self._end(line)

    def _line(self, kind: str, event: AssociationEvent | MessageEvent) -> dict[str, Any]:
        now = _now()
        line = {"kind": kind, "began": now, "ended": now, **self._who, "calling": event.calling, "peer": event.peer}
        line["association"] = event.association
        return line | ({"reason": self._reason} if self._reason else {})

    def _end(self, line: dict[str, Any]) -> None:
        if line["kind"] == "operation":
            line["ended"] = _now()
        self._write(line, json.dumps(line) + "\n")

    def close(self) -> None:
        """Write the operations that have no end yet, and log nothing more; may be called twice."""
        super().close()
        while self._open:
            _, operation = self._open.popitem()
            try:
                self._end(operation)
            except Exception as error:
                self._not_written(error)
        if self._file is not None:
            self._file.close()


def _transaction(event: MessageEvent) -> dict[str, str]:
    """The Transaction UID of an N-ACTION, where it has one."""
    try:
        found = event.dataset()
    except BadData:
        return {}
    uid = "" if found is None else str(found.get("TransactionUID", "") or "")
    return {"transaction": uid} if uid else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without an entry for this user
        return ""
