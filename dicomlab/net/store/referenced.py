"""Instances as a request names them: each by its UID and class."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidRequest
from ...outgoing.outgoing import outgoing


def referenced(what: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The table that was given, if it was one; and UID and class of each instance, "" for one that is not stored.

    The UID is the one that it was stored under, where `Peer.store` says so.
    """
    import pandas as pd

    columns = ("SOPInstanceUID", "SOPClassUID")
    if isinstance(what, pd.DataFrame) and all(name in what for name in columns):
        if not len(what):
            raise InvalidRequest("nothing is selected", advice="Choose at least one row.")
        kept = what["stored"].tolist() if "stored" in what else [True] * len(what)
        uids = what["SOPInstanceUID"].tolist()
        if "AffectedSOPInstanceUID" in what:
            sent = what["AffectedSOPInstanceUID"].tolist()
            uids = [one if isinstance(one, str) else uid for one, uid in zip(sent, uids, strict=True)]
        pairs = zip(uids, what["SOPClassUID"].tolist(), strict=True)
        return what, [
            (uid, sop_class) if stored is True and isinstance(uid, str) and isinstance(sop_class, str) else ("", "")
            for (uid, sop_class), stored in zip(pairs, kept, strict=True)
        ]
    items = outgoing(what)
    return (what if isinstance(what, pd.DataFrame) else None), [
        ("", "") if item.trouble else (item.sop_instance, item.sop_class) for item in items
    ]
