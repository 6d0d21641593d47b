"""The embedded PACS: pynetdicom's acceptor, with services of our own.

pynetdicom negotiates, frames and decodes; what is answered is in the namesakes of the services: find.py, get.py,
move.py, storage.py, verification.py. A test peer shares no encoding, matching or geometry with the SCU side.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import pydicom
from pydicom import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE, N_EVENT_REPORT
from pynetdicom.transport import ThreadedAssociationServer

from ..uids import BIG_ENDIAN, IMPLICIT
from . import find, get, move, negotiation, normalized, printer, storage, verification, wire
from .answering import tags
from .films import PrintedFilm
from .holdings import Holdings, Instance
from .manners import Manners
from .media import Job

SERVICES = {
    C_ECHO: ("C-ECHO", verification.serve),
    C_FIND: ("C-FIND", find.serve),
    C_GET: ("C-GET", get.serve),
    C_MOVE: ("C-MOVE", move.serve),
    C_STORE: ("C-STORE", storage.serve),
    **{kind: (name, normalized.serve) for kind, name in normalized.REQUESTS.items()},
}

IDENTIFIERS = ("Identifier", "ActionInformation", "AttributeList", "ModificationList")

logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
# Identifiers hold names, and logs hold none unless asked (R0.6): who wants them sets these back.
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False


@dataclass(frozen=True)
class Request:
    """One request as it was received.

    `service` is "A-ASSOCIATE", or the name of a message such as "C-FIND"; `time` is seconds since 1970.
    """

    service: str
    calling: str
    called: str
    sop_class: str = ""
    message_id: int = 0
    identifier: Dataset | None = field(default=None, repr=False)  # None where there is none, or where it cannot be read
    transfer_syntax: str = ""
    destination: str = ""  # of a C-MOVE
    sop_instance: str = ""  # of a C-STORE, and of DIMSE-N
    originator: tuple[str, int] | None = None  # of a C-STORE
    action: int | None = None  # of an N-ACTION
    attributes: tuple[int, ...] = ()  # tags that an N-GET asks for
    contexts: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of an A-ASSOCIATE: class and syntaxes proposed
    user: str = ""  # of an A-ASSOCIATE: the user name of its user identity
    time: float = field(default_factory=time.time)


@dataclass
class Call:
    """What a service needs to answer one request."""

    server: DemoServer
    assoc: Association
    message: Any
    context_id: int
    transfer_syntax: str
    relational: bool = False
    identifier: Dataset | None = None

    @property
    def calling(self) -> str:
        return str(self.assoc.requestor.ae_title).strip()

    @property
    def destination(self) -> str:
        return str(getattr(self.message, "MoveDestination", "") or "").strip()


class _Acceptor(ThreadedAssociationServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(*args, **settings)

    def service_actions(self) -> None:
        """pynetdicom collects garbage here, every 60th poll."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """A connection, before its TLS handshake: one that stalls keeps nobody out."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections = [each for each in self._connections if each.fileno() >= 0] + [connection]
        return connection, address

    def close_connections(self) -> None:
        """Close what pynetdicom has left open, as it does where TLS breaks."""
        for connection in self._connections:
            connection.close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection, then serve it."""
        if isinstance(request, ssl.SSLSocket):
            waits = request.gettimeout()
            request.settimeout(5)
            request.do_handshake()
            request.settimeout(waits)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that ends before it began is no news."""


class DemoServer:
    """A PACS in this process, on the loopback interface.

    Parameters
    ----------
    holdings
        What it holds; None is ``Holdings.sample()``.
    ae_title
        The AE title it answers to; associations that call another are rejected (1/1/7).
    port
        TCP port; 0 takes a free one.
    manners
        Where peers differ.
    destinations
        Move destinations: AE title to (host, port). May be changed while it runs.
    known_callers
        AE titles that may associate; others are rejected (1/1/3). None lets everybody in.
    max_associations
        More at once are rejected (2/3/2).
    folder
        Where instances received by C-STORE are also written, as Part 10 files named by their UID; None: nowhere.
    refuse_other_content
        A C-STORE of other content under a UID that is here is answered 0x0111; else it replaces.
    tls
        A server-side context, for TLS.
    tls_out
        A client-side context, for TLS with the destinations of C-MOVE.
    schedule
        Worklist entries; None: there is no worklist.

    Examples
    --------
    >>> with DemoServer(Holdings.t31()) as server:
    ...     server.address.startswith("DEMO@127.0.0.1:")
    True
    """

    host = "127.0.0.1"

    def __init__(
        self,
        holdings: Holdings | None = None,
        *,
        ae_title: str = "DEMO",
        port: int = 0,
        manners: Manners | None = None,
        destinations: MutableMapping[str, tuple[str, int]] | None = None,
        known_callers: Sequence[str] | None = None,
        max_associations: int = 32,
        folder: Path | None = None,
        refuse_other_content: bool = False,
        tls: ssl.SSLContext | None = None,
        tls_out: ssl.SSLContext | None = None,
        schedule: Sequence[Dataset] | None = None,
    ) -> None:
        self.holdings = Holdings.sample() if holdings is None else holdings
        self.manners = Manners() if manners is None else manners
        self.ae_title, self.folder = ae_title, folder
        self.destinations: MutableMapping[str, tuple[str, int]] = {} if destinations is None else destinations
        self.refuse_other_content, self.tls_out = refuse_other_content, tls_out
        #: Worklist entries; may be changed while it runs.
        self.schedule: list[Dataset] | None = None if schedule is None else list(schedule)
        #: Every request received, in order.
        self.transcript: list[Request] = []
        #: Performed procedure steps, as they were told, by SOP Instance UID.
        self.performed: dict[str, Dataset] = {}
        #: Statuses of the events of storage commitment that were sent on an association of their own.
        self.events: list[int | None] = []
        #: What was printed.
        self.films: list[PrintedFilm] = []
        #: SOP Class and Event Type ID of each event of printing, and the statuses that they were answered with.
        self.events_sent: list[tuple[str, int]] = []
        self.event_answers: list[int] = []
        #: Requests for media by their SOP Instance UID.
        self.media: dict[str, Job] = {}
        #: Statuses of updates of patients that were done, by their Transaction UID.
        self.updates: dict[str, int] = {}
        self.ae = AE(ae_title)
        self.ae.maximum_associations = max_associations
        self.ae.require_called_aet = True
        self.ae.require_calling_aet = list(known_callers or [])
        self.ae.maximum_pdu_size = 1 << 17
        self.ae.connection_timeout = 5
        self.ae.add_supported_context("1.2.840.10008.1.1")
        self._server = self.ae.make_server(
            (self.host, port),
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, negotiation.opened),
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_SOP_EXTENDED, self._extended),
                *([(evt.EVT_USER_ID, lambda _: (True, b"known"))] if self.manners.users is not None else []),
            ],
            server_class=_Acceptor,
        )
        assert isinstance(self._server, _Acceptor)
        self.port = int(self._server.server_address[1])
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"demo PACS {self.port}", daemon=True
        )
        thread.start()
        self._end = weakref.finalize(self, _stop, self._server, thread)

    @property
    def address(self) -> str:
        """As a node: ``"DEMO@127.0.0.1:PORT"``."""
        return f"{self.ae_title}@{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        """True until :meth:`stop`."""
        return self._end.alive

    def stop(self) -> None:
        """Abort what runs, stop listening and free the port; a second call does nothing."""
        self._end()

    def requests(self, service: str) -> list[Request]:
        """The requests of one service received so far."""
        return [each for each in list(self.transcript) if each.service == service]

    def __enter__(self) -> DemoServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<DemoServer {self.address}, {len(self.holdings)} instances, {self.manners.name}, {state}>"

    def keep(self, instance: Instance) -> None:
        """Add a received instance to the holdings, and to `folder` where one is set."""
        self.holdings.add(instance)
        if self.folder is not None:
            name = "".join(char for char in instance.uid if char in "0123456789.").strip(".")
            instance.dataset().save_as(self.folder / f"{name}.dcm", enforce_file_format=True)

    def _requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        held = {each.sop_class for each in self.holdings}
        contexts = negotiation.prepare(assoc, self.manners, held, worklist=self.schedule is not None)
        wanted = assoc.requestor.primitive
        assert wanted is not None
        titles = str(wanted.calling_ae_title).strip(), str(wanted.called_ae_title).strip()
        user = negotiation.user_of(assoc)
        self.transcript.append(Request("A-ASSOCIATE", *titles, contexts=contexts, user=user.name))
        if self.manners.users is not None and not user.is_known(self.manners.users):
            assoc.acse.send_reject(0x01, 0x01, 0x01)
            assoc.kill()  # once that has gone out
        assoc._serve_request = partial(self._serve, assoc)  # type: ignore[method-assign]

    def _extended(self, event: evt.Event) -> dict[Any, bytes]:
        agreed = negotiation.agree(getattr(event, "app_info"), self.manners)  # noqa: B009
        setattr(event.assoc, "demo_agreed", agreed)  # noqa: B010
        return agreed

    def _serve(self, assoc: Association, message: Any, context_id: int) -> None:
        """Take the place of pynetdicom's service classes for this association."""
        if isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo is not None:
            printer.answered(self, message)
            return
        context = assoc._accepted_cx.get(context_id)
        name, serve = SERVICES.get(type(message), ("", None))
        if context is None or serve is None or not message.is_valid_request:
            assoc.abort()
            return
        call = Call(self, assoc, message, context_id, str(context.transfer_syntax[0]))
        sop_class = getattr(message, "AffectedSOPClassUID", None) or getattr(message, "RequestedSOPClassUID", "")
        agreed = getattr(assoc, "demo_agreed", {}).get(sop_class, b"")
        call.relational = agreed[:1] == b"\1"
        raw = next(filter(None, (getattr(message, name, None) for name in IDENTIFIERS)), None)
        if raw is not None:
            call.identifier = _read(raw, call.transfer_syntax)
        origin = getattr(message, "MoveOriginatorApplicationEntityTitle", None)
        self.transcript.append(
            Request(
                name,
                call.calling,
                self.ae_title,
                str(sop_class),
                int(message.MessageID),
                call.identifier,
                call.transfer_syntax,
                call.destination,
                str(
                    getattr(message, "AffectedSOPInstanceUID", None)
                    or getattr(message, "RequestedSOPInstanceUID", None)
                    or ""
                ),
                (str(origin).strip(), int(message.MoveOriginatorMessageID or 0)) if origin else None,
                getattr(message, "ActionTypeID", None),
                tags(message),
            )
        )
        assoc._is_paused = True
        try:
            serve(call)
        except wire.Gone:
            if assoc.is_established:
                assoc.abort()
        except Exception:  # a fault of ours ends the association, as it would in a real archive
            logging.getLogger("dicomlab.demo").exception("%s failed", name)
            assoc.abort()
        finally:
            assoc._is_paused = False
            assoc.dimse.cancel_req.clear()


def _read(raw: BytesIO, transfer_syntax: str) -> Dataset | None:
    """The Identifier; None if it cannot be read."""
    try:
        found = pydicom.filereader.read_dataset(
            BytesIO(raw.getvalue()), transfer_syntax == IMPLICIT, transfer_syntax != BIG_ENDIAN
        )
        list(found)  # decode every element now
    except Exception:
        return None
    return found


def _stop(server: _Acceptor, thread: threading.Thread) -> None:
    """End the associations, the thread and the listening socket."""
    with contextlib.suppress(Exception):
        server.shutdown()  # ends serve_forever and closes the socket; raises on a second call
    server.server_close()
    thread.join(2)
    for assoc in _living(server):
        with contextlib.suppress(Exception):
            assoc.abort()
    for assoc in _living(server):
        assoc.join(1)
    server.close_connections()


def _living(server: ThreadedAssociationServer) -> Iterator[Association]:
    return iter([each for each in server.active_associations if each is not threading.current_thread()])
