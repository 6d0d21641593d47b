"""The embedded PACS, for notebooks and tests (SCP side, pynetdicom's acceptor).

>>> from dicomlab.demo import DemoServer, Holdings
>>> with DemoServer(Holdings.t31()) as server:
...     server.ae_title, len(server.holdings)
('DEMO', 31)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

    from ..net.peer import Peer
    from .holdings import Holdings
    from .manners import Manners
    from .request import Request
    from .server import DemoServer

__all__ = ["DemoServer", "Holdings", "Manners", "Request", "demo_pacs"]

_HOME = {"DemoServer": ".server", "Request": ".server", "Holdings": ".holdings", "Manners": ".manners"}
WRITING = ("store", "commit", "perform", "print", "create_media", "update_patient")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name], __name__), name)


def demo_pacs(
    holdings: Holdings | None = None,
    *,
    manners: Manners | None = None,
    calling: str = "DICOMLAB",
    listen: int | None = None,
    cache: str | Path | None = None,
    timeout: float | None = None,
    seed: int = 0,
    tls: bool = False,
    schedule: Sequence[Dataset] | None = None,
) -> Peer:
    """A PACS in this process with synthetic and sample studies, and the peer to ask it with.

    It listens on the loopback interface only, and ends with ``close()``, at the end of a ``with`` block, or with
    Python. All writing services are allowed. Research use, not for diagnosis.

    Parameters
    ----------
    holdings
        What it holds; default the phantoms of :mod:`dicomlab.demo.phantom` and pydicom's 31 sample instances.
    manners
        How it behaves where archives differ: ``Manners.dcmqrscp()``, ``Manners.orthanc()``.
    calling
        Our AE title.
    listen
        Port for C-MOVE; default a free one, known to the PACS as the move destination `calling`.
    cache
        Folder of received instances; default a temporary one that goes away with the PACS.
    timeout
        Seconds without progress after which a call gives up.
    seed
        Of the phantoms, where `holdings` is not given.
    tls
        Both sides speak TLS, with a certificate that the openssl command makes for it.
    schedule
        Worklist entries; default those of :mod:`dicomlab.demo.schedule`, from today on, where `holdings` is not given,
        else none, and no worklist.

    Returns
    -------
    Peer

    Examples
    --------
    >>> with demo_pacs() as pacs:
    ...     len(pacs.find("PATIENT", PatientID=""))
    6
    """
    from ..net.association.node import Node, Quirks
    from ..net.connecting import connect, passing
    from .certificates import SelfSigned
    from .holdings import Holdings
    from .owner import Owner, free_port
    from .schedule import schedule as generated
    from .server import DemoServer

    port = free_port() if listen is None else listen
    made = SelfSigned() if tls else None
    server = DemoServer(
        Holdings.sample(seed) if holdings is None else holdings,
        manners=manners,
        destinations={calling: ("127.0.0.1", port)},
        tls=None if made is None else made.context(server=True),
        tls_out=None if made is None else made.context(server=False),
        schedule=generated(seed) if schedule is None and holdings is None else schedule,
    )
    owner = Owner(server, temporary=cache is None, also=None if made is None else made.folder)
    try:
        return connect(
            Node(server.ae_title, server.host, server.port, quirks=Quirks(leadtools=True)),
            calling=calling,
            allow=WRITING,
            listen=port,
            cache=passing(owner.folder) if owner.folder is not None else cache,
            timeout=timeout,
            tls=None if made is None else made.settings,
            owner=owner,
        )
    except BaseException:
        owner.stop()
        raise
