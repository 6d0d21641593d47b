"""How a peer comes about: `connect`, and `diagnose` for one that is no peer yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cache.cache import Cache
from ..errors import CacheError, InvalidRequest
from .association.node import WRITING, Node, Timeouts
from .association.tls import TLS
from .association.useridentity import UserIdentity
from .calling import Owner
from .peer import Peer

if TYPE_CHECKING:
    import pandas as pd


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, without making anything."""
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    why = "is no folder" if not there.is_dir() else "" if os.access(there, os.W_OK | os.X_OK) else "cannot be written"
    if why:
        raise CacheError(f"{there} {why}, and so {folder} is no cache", advice="Give another folder as cache=.")


def passing(folder: Path) -> Cache:
    """A cache in a folder that goes when its peer does; its index too."""
    return Cache(folder / "cache", index=folder / "index.sqlite")


def connect(
    node: str | Node,
    *,
    calling: str | None = None,
    allow: str | Sequence[str] = (),
    listen: int | None = None,
    cache: str | Path | Cache | None = None,
    timeout: float | Timeouts | None = None,
    tls: TLS | dict[str, Any] | bool | None = None,
    listen_tls: TLS | dict[str, Any] | bool | None = None,
    user: UserIdentity | dict[str, Any] | str | None = None,
    owner: Owner | None = None,
) -> Peer:
    """A peer to ask; opens nothing yet.

    Parameters
    ----------
    node
        A name in nodes.toml, ``"AET@host:port"``, or a Node.
    calling
        Our AE title, as agreed with the PACS administrator; default "DICOMLAB".
    allow
        Writing services that may be used on this node: "store", "commit", ...; a node is read-only otherwise.
    listen
        Port on this machine that the archive sends to when C-MOVE is used.
    cache
        Folder of received instances; default the user's cache folder. One that is named here and cannot be written is
        refused at once, the default at the first retrieve: to ask questions needs none.
    timeout
        Seconds without progress after which a call gives up, also while it connects and associates; the total of the
        node's entry stays. Or Timeouts, all of them.
    tls
        True (as the system trusts), a `TLS`, or a dict of its fields; False for none although the node has it.
    listen_tls
        The same for what C-MOVE sends to us; default what `tls` says, and False for none.
    user
        User identity for archives that ask for one: a user name, a `UserIdentity`, or a dict of its fields.
    owner
        Something with ``stop()`` that ends with the peer.

    Raises
    ------
    InvalidRequest
        It is no node, or a setting of it cannot be.
    CacheError
        The folder named as ``cache`` cannot be written.

    Examples
    --------
    >>> connect("ARCHIVE@localhost:11112")
    Peer ARCHIVE@localhost:11112 as DICOMLAB (read-only)
    """
    found = Node.of(node)
    changes: dict[str, Any] = {}
    if tls is not None:
        changes["tls"] = TLS.of(tls)
    if user is not None:
        changes["user"] = user
    if listen_tls is not None:
        changes["listen_tls"] = listen_tls
    if calling is not None:
        changes["calling"] = calling
        if found.move_ae == found.calling:
            changes["move_ae"] = ""
    if isinstance(allow, bool):
        raise InvalidRequest(f"allow={allow!r}", advice=f"Name the services that write: {', '.join(WRITING)}.")
    services = (allow,) if isinstance(allow, str) else tuple(allow)
    if services:
        changes["allow"] = found.allow | set(services)
    if listen is not None:
        changes["listen"] = listen
    if isinstance(timeout, Timeouts):
        changes["timeouts"] = timeout
    elif timeout is not None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise InvalidRequest(f"timeout={timeout!r}", advice="Give seconds above 0, such as timeout=60.")
        times = found.timeouts
        changes["timeouts"] = replace(
            times,
            connect=min(times.connect, timeout),
            association=min(times.association, timeout),
            progress=timeout,
        )
    store = cache if isinstance(cache, Cache) else Cache(cache)
    if isinstance(cache, str | Path):
        _check_folder(store.root)
    return Peer(replace(found, **changes), store, owner)


def diagnose(
    node: str | Node | Peer, *, timeout: float = 5.0, move: Any = False, progress: Any = None, **settings: Any
) -> pd.DataFrame:
    """Look step by step what works with a node, and what to tell its administrator; see `Peer.diagnose`.

    Parameters
    ----------
    node
        A name in nodes.toml, ``"AET@host:port"``, a Node or a Peer.
    timeout, move, progress
        As `Peer.diagnose` takes them.
    **settings
        As `connect` takes them: ``calling``, ``listen``, ``tls``, ...

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> import dicomlab as dl
    >>> table = dl.diagnose("ARCHIVE@localhost:1")
    >>> print(*table.check[table.result == "failed"], *table.do[table.result == "failed"], sep=": ")
    TCP: Check the port, and that the archive is running.
    """
    if not isinstance(node, Peer):
        return connect(node, **settings).diagnose(timeout=timeout, move=move, progress=progress)
    if settings:
        raise InvalidRequest(f"a peer has its {', '.join(settings)} already", advice="Give them to connect(...).")
    return node.diagnose(timeout=timeout, move=move, progress=progress)
