"""What the rows of a query say of where their instances are, and whether they can be had now (R5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...amounts import are
from ...errors import InvalidRequest
from ..association.addressbook import nodes
from ..association.node import Node

AWAY = ("OFFLINE", "UNAVAILABLE")  # InstanceAvailability (0008,0056) of what cannot be sent without help


def whereabouts(node: Node, what: Any, *, force: bool = False) -> tuple[Node, str]:
    """The node to ask for these rows, and the RetrieveAETitle of another that they name.

    Where all of them name one other AE title, and one node of nodes.toml has it, that node is asked; else the one
    that answered.

    Parameters
    ----------
    node
        That answered.
    what
        As `Peer.retrieve` takes it.
    force
        Ask for what is offline all the same.

    Returns
    -------
    node, title
        The title is "" where none, or the answering node's, is named.

    Raises
    ------
    InvalidRequest
        Something is offline or unavailable.
    """
    said = [str(value).strip().upper() for value in _values(what, "InstanceAvailability")]
    away = [value for value in said if value in AWAY]
    if away and not force:
        raise InvalidRequest(
            f"{len(away)} of {len(said)} rows {are(len(away))} {away[0]}: the archive cannot send "
            "them now",
            peer=node.identity,
            advice='Have them brought back, leave them out by InstanceAvailability == "ONLINE", or say force=True.',
        )
    titles = [_titles(value) for value in _values(what, "RetrieveAETitle")]
    named = set(titles[0]).intersection(*titles[1:]) if titles else set()
    if not named or any(node.ae_title in title for title in titles):
        return node, ""
    others = [other for other in nodes().values() if other.ae_title in named]
    title = others[0].ae_title if others else min(named)
    if len(others) != 1:
        return node, title
    return replace(others[0], timeouts=node.timeouts), title


def _titles(value: Any) -> list[str]:
    parts = value if isinstance(value, list | tuple) else str(value).split("\\")
    return [str(part).strip() for part in parts if str(part).strip()]


def _values(what: Any, word: str) -> list[Any]:
    """What the rows hold under a keyword, without those that are empty."""
    import pandas as pd

    found: Iterable[Any] = ()
    if isinstance(what, pd.DataFrame):
        found = what[word].tolist() if word in what.columns else ()
    elif isinstance(what, pd.Series) and word not in what.index:
        found = ()
    elif isinstance(what, Mapping | pd.Series):
        found = [what[word]] if word in what else ()
    elif isinstance(what, list | tuple):
        found = [value for item in what for value in _values(item, word)]
    return [value for value in found if isinstance(value, list | tuple) or (not pd.isna(value) and str(value).strip())]
