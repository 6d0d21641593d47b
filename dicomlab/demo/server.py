"""The embedded PACS: pynetdicom's acceptor, with services of our own.

pynetdicom negotiates, frames and decodes; what is answered is in the namesakes of the services: find.py, get.py,
move.py, storage.py, verification.py. A test peer shares no encoding, matching or geometry with the SCU side.
"""

from __future__ import annotations

import logging
import ssl
import threading
import weakref
from collections.abc import MutableMapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE, N_EVENT_REPORT

from . import find, get, move, negotiation, normalized, printer, storage, verification, wire
from .acceptor import Acceptor, stop
from .films import PrintedFilm
from .holdings import Holdings, Instance
from .manners import Manners
from .media import Job
from .request import Call, Request

SERVICES = {
    C_ECHO: ("C-ECHO", verification.serve),
    C_FIND: ("C-FIND", find.serve),
    C_GET: ("C-GET", get.serve),
    C_MOVE: ("C-MOVE", move.serve),
    C_STORE: ("C-STORE", storage.serve),
    **{kind: (name, normalized.serve) for kind, name in normalized.REQUESTS.items()},
}

logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
# Identifiers hold names, and logs hold none unless asked (R0.6): who wants them sets these back.
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False


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
            server_class=Acceptor,
        )
        assert isinstance(self._server, Acceptor)
        self.port = int(self._server.server_address[1])
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"demo PACS {self.port}", daemon=True
        )
        thread.start()
        self._end = weakref.finalize(self, stop, self._server, thread)

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
        held = len(self.holdings)
        instances = "instance" if held == 1 else "instances"
        return f"<DemoServer {self.address}, {held} {instances}, {self.manners.name}, {state}>"

    def keep(self, instance: Instance) -> None:
        """Add a received instance to the holdings, and to `folder` where one is set."""
        self.holdings.add(instance)
        if self.folder is not None:
            name = "".join(char for char in instance.uid if char in "0123456789.").strip(".")
            instance.dataset().save_as(self.folder / f"{name}.dcm", enforce_file_format=True)

    def _requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        held = self.holdings.sop_classes
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
        self.transcript.append(call.request(name))
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
