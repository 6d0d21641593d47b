"""What an AE title, a host and a port may be (R1.2); checked before anything is opened."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ...errors import InvalidRequest

HIGHEST = 65535  # port
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII | re.IGNORECASE)  # of a host name, RFC 1123; "_" is met
_NUMBER = re.compile(r"\d+|0x[\da-f]*", re.ASCII | re.IGNORECASE)
_ZONE = re.compile(r"[\w.-]+", re.ASCII)


def ae_title(value: Any, name: str) -> str:
    """A valid AE title without the spaces around it (PS3.5 6.2, AE)."""
    title = value.strip(" ") if isinstance(value, str) else ""
    if not 1 <= len(title) <= 16 or "\\" in title or not all(" " <= char <= "~" for char in title):
        raise InvalidRequest(
            f"{name} {_short(value)} is no AE title", advice="It has 1 to 16 plain characters and no backslash."
        )
    return title


def host_name(value: Any, name: str = "host") -> str:
    """A host name or IP address, without brackets and the spaces around it.

    What the system would read as an address in another way, such as "127.1" or "0x7f.1", is none.

    Examples
    --------
    >>> host_name("[2001:db8::1]"), host_name("pacs.hospital.org")
    ('2001:db8::1', 'pacs.hospital.org')
    """
    host = value.strip(" ") if isinstance(value, str) else ""
    bare = host[1:-1] if host[:1] + host[-1:] == "[]" else host
    if not (_is_ip(bare) or (bare == host and _is_name(host))):
        raise InvalidRequest(
            f"{name} {_short(value)} is no host name or IP address",
            advice="It is as in pacs.hospital.org, 10.0.0.5 or 2001:db8::1, without port or spaces.",
        )
    return bare


def port_number(value: Any, name: str, lowest: int) -> None:
    """Refuse what is no port, or below `lowest`."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= HIGHEST:
        raise InvalidRequest(f"{name} {_short(value)} is no port", advice="Ports are whole numbers from 1 to 65535.")


def _is_ip(text: str) -> bool:
    text, percent, zone = text.partition("%")
    if percent and not (":" in text and _ZONE.fullmatch(zone)):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    try:
        plain = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return False
    labels = plain.removesuffix(".").split(".")
    if len(plain) > 254 or _NUMBER.fullmatch(labels[-1]) or not text.isprintable():
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


def _short(value: Any) -> str:
    """The value as Python writes it, at most some of it."""
    if isinstance(value, int) and abs(value) > 10**20:
        return "of more than 20 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
