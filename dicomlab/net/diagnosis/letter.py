"""What to send to the PACS administrator: who we are, what is needed, what failed; nothing secret (R2.6)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...errors import DicomlabError
from ..association.node import Node
from ..retrieve.listener import local_address

if TYPE_CHECKING:
    from .checks import Check


def letter(node: Node, checks: Sequence[Check]) -> str:
    """The letter as text, for a mail; line by line, so that it can be read in any program."""
    try:
        address = node.listen_host or local_address(node)
        known = f"{address}, as this machine knows itself (behind NAT or in a container you may see another)"
    except DicomlabError:  # the host name is not known, so no route leads there
        known, address = "known once the host name of the archive is", "our address"
    moves = f"{node.listen}, {'through TLS' if node.inbound_tls else 'plain DICOM'}" if node.listen else ""
    lines = [
        "To the administrator of the PACS",
        "",
        f"A research notebook asks your archive by DICOM (dicomlab). It queries and retrieves, and {_writes(node)}.",
        f"On {datetime.now(UTC):%Y-%m-%d %H:%M} UTC it was tried step by step; the results are below.",
        "",
        "Your archive, as it was told to us",
        f"  AE title   {node.ae_title}",
        f"  address    {node.host}, port {node.port}, {'through TLS' if node.tls else 'plain DICOM'}",
        "We are",
        f"  AE title   {node.calling}",
        f"  address    {known}",
    ]
    if moves:
        title = "" if node.move_ae == node.calling else f", as AE title {node.move_ae}"
        lines.append(f"  port       {moves}: where C-MOVE is to send to{title}")
    else:
        lines.append("  port       none: you never need to connect to us, if C-GET is allowed")
    lines += [
        "What we need",
        "  C-ECHO; C-FIND in Study Root and Patient Root; C-GET in Study Root"
        + (f", or C-MOVE to {node.move_ae} at {address}, port {node.listen}" if moves else ""),
    ]
    works = [check.check for check in checks if check.result == "ok"]
    listed = textwrap.wrap(", ".join(works) or "nothing yet", 100, break_on_hyphens=False)
    lines += ["What works", *(f"  {line}" for line in listed)]
    failed = [check for check in checks if check.result == "failed" and check.matters]
    if failed:
        lines.append("What does not, and what we ask of you")
        for check in failed:
            lines.append(f"  {check.check}: {check.means}.")
            lines += [f"    {check.ask}"] if check.ask else []
    else:
        lines.append("All that we need works; this is for your records.")
    return "\n".join(lines) + "\n"


def _writes(node: Node) -> str:
    return f"may {', '.join(sorted(node.allow))}" if node.allow else "writes nothing"
