"""A peer's address and what we may do with it; named ones live in nodes.toml (addressbook.py)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields

from ...datasets.charset import codecs_of
from ...errors import InvalidRequest, did_you_mean
from ...markup import Html, rows
from .address import ae_title, host_name, port_number
from .tls import TLS
from .useridentity import UserIdentity

WRITING = ("commit", "create_media", "perform", "print", "store", "update_patient")
ASSOCIATIONS = 64  # at once, at most: more are a mistake, or an attack on the archive
_ADDRESS = re.compile(r"(?P<title>[^@]+)@(?P<host>\[[^\]]+\]|[^:@\s]+):(?P<port>[^:@]+)")
_NO_TITLE = re.compile(r"(?P<host>localhost|[\w-]+(\.[\w-]+)+|\[[\da-fA-F:]+\]|[\w-]+(?=:))(:(?P<port>\d+))?")
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_NO_PORT = re.compile(r"[^@]+@(\[[^\]]+\]|[^:@\s]+):?")


@dataclass(frozen=True)
class Timeouts:
    """Deadlines in seconds, on a monotonic clock (R1.4)."""

    connect: float = 10.0  # until TCP is connected
    association: float = 10.0  # until A-ASSOCIATE-RQ or A-RELEASE-RQ is answered
    progress: float = 30.0  # without data moving
    total: float | None = None  # of the whole call; the only one that may be without end

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.name == "total":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
                raise InvalidRequest(f"timeout {item.name} takes seconds above 0, not {value!r}")


@dataclass(frozen=True)
class Quirks:
    """How a peer differs from the standard; data, not code (R1.23)."""

    syntaxes: tuple[str, ...] = ()  # transfer syntax UIDs to receive in first, before our own order
    charset: str = ""  # Specific Character Set of text that comes without one, e.g. "ISO_IR 100"
    result_limit: int = 0  # matches after which this archive cuts a query, 0 unknown
    no_get: bool = False  # never try C-GET
    relational: bool = False  # answers relational queries without negotiating them
    stores_from: tuple[str, ...] = ()  # other AE titles that it stores from
    move_grace: float = 5.0  # seconds that instances may come after the final C-MOVE response
    leadtools: bool = False  # takes those actions of its patient updater too whose encoding is not confirmed (R11.0)

    def __post_init__(self) -> None:
        for name in ("no_get", "relational", "leadtools"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidRequest(f"quirk {name} takes True or False, not {getattr(self, name)!r:.80}")
        for name in ("result_limit", "move_grace"):
            if not 0 <= getattr(self, name) < 1e6:
                raise InvalidRequest(f"quirk {name} takes 0 or more, not {getattr(self, name)!r}")
        if self.charset and not codecs_of(self.charset.encode())[1]:
            raise InvalidRequest(
                f"quirk charset {self.charset!r:.80} is no Specific Character Set",
                advice='E.g. "ISO_IR 100" or "ISO_IR 192".',
            )
        for uid in self.syntaxes:
            if not isinstance(uid, str) or not re.fullmatch(r"[0-9.]{1,64}", uid):
                raise InvalidRequest(f"quirk syntaxes takes transfer syntax UIDs, and {uid!r:.80} is none")
        titles = tuple(ae_title(title, "quirk stores_from") for title in self.stores_from)
        object.__setattr__(self, "stores_from", titles)

    @property
    def codec(self) -> str:
        """The Python codec of text that comes without a character set."""
        return codecs_of(self.charset.encode())[0][0]


@dataclass(frozen=True)
class Node:
    """All that is needed to reach a peer; AE title, host and port alone are enough.

    A node is read-only unless `allow` names the writing services (R1.0).

    Examples
    --------
    >>> Node("ARCHIVE", "localhost", 11112).identity
    'ARCHIVE@localhost:11112'
    """

    ae_title: str  # the called AE title
    host: str  # name, IPv4 or IPv6
    port: int  # 1 to 65535
    name: str = ""  # in nodes.toml
    calling: str = "DICOMLAB"  # our AE title
    move_ae: str = ""  # the AE title that the peer knows our listener by; "" is `calling`
    listen: int = 0  # port of our listener for C-MOVE; 0 for none
    listen_host: str = ""  # address to bind; "" is the local address of the route to the peer
    associations: int = 1  # at once, at most
    allow: frozenset[str] = frozenset()  # writing services that may be used
    timeouts: Timeouts = field(default_factory=Timeouts)
    quirks: Quirks = field(default_factory=Quirks)
    tls: TLS | None = None  # of connections that we make; also given as True or a dict
    user: UserIdentity | None = None  # who asks; also given as a user name or a dict
    listen_tls: TLS | bool | None = None  # of those to our listener; None is the same as `tls`, False is without

    def __post_init__(self) -> None:
        for name in ("ae_title", "calling"):
            object.__setattr__(self, name, ae_title(getattr(self, name), name))
        object.__setattr__(self, "move_ae", ae_title(self.move_ae or self.calling, "move_ae"))
        object.__setattr__(self, "host", host_name(self.host))
        if self.listen_host != "":
            object.__setattr__(self, "listen_host", host_name(self.listen_host, "listen_host"))
        port_number(self.port, "port", 1)
        port_number(self.listen, "listen", 0)
        many = self.associations
        if isinstance(many, bool) or not isinstance(many, int) or not 1 <= many <= ASSOCIATIONS:
            raise InvalidRequest(f"associations takes a whole number from 1 to {ASSOCIATIONS}, not {many!r:.40}")
        if isinstance(self.allow, str):
            object.__setattr__(self, "allow", (self.allow,))
        for service in self.allow:
            if service not in WRITING:
                raise InvalidRequest(
                    f"allow={service!r} is no writing service{did_you_mean(str(service), WRITING)}",
                    advice=f"Writing services are {', '.join(WRITING)}.",
                )
        object.__setattr__(self, "allow", frozenset(self.allow))
        object.__setattr__(self, "tls", TLS.of(self.tls))
        object.__setattr__(self, "user", UserIdentity.of(self.user))
        if self.listen_tls is True:
            object.__setattr__(self, "listen_tls", None if self.tls else TLS())
        elif self.listen_tls is not False:
            object.__setattr__(self, "listen_tls", TLS.of(self.listen_tls))

    @property
    def identity(self) -> str:
        """``AET@host:port``: what received instances are filed under."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"

    def require(self, service: str) -> None:
        """Refuse a writing service that this node is not allowed to be asked for (R1.0)."""
        if service not in self.allow:
            entry = f'allow = ["{service}"] to [{self.name}] in nodes.toml' if self.name else f'allow="{service}"'
            raise InvalidRequest(
                f"this node is read-only, and {service} writes" if not self.allow else f"this node may not {service}",
                peer=self.identity,
                advice=f"Add {entry}." if self.name else f"Say connect(..., {entry}), if it is meant.",
            )

    def facts(self) -> list[tuple[str, str]]:
        """Name and text of what the node is, what we may do there, and what is not set up."""
        inbound = f"to {self.move_ae} at port {self.listen}" + (", TLS" if self.inbound_tls else "")
        said = [
            ("name", self.name),
            ("address", self.identity),
            ("we are", self.calling),
            ("we may", ", ".join(sorted(self.allow)) or "only read: allow= names what else"),
            ("TLS", "yes" if self.tls else "none"),
            ("user identity", "yes" if self.user else ""),
            ("C-MOVE", inbound if self.listen else "not set up: listen= gives a port to send to"),
            ("associations", f"{self.associations} at once" if self.associations > 1 else "one at a time"),
        ]
        return [(name, text) for name, text in said if text]

    def _repr_html_(self) -> Html:
        return rows(self.facts(), f"Node {self.name or self.identity}")

    @property
    def inbound_tls(self) -> TLS | None:
        """What protects connections to our listener; None: nothing."""
        if isinstance(self.listen_tls, TLS):
            return self.listen_tls
        return self.tls if self.listen_tls is None else None

    @classmethod
    def of(cls, node: str | Node) -> Node:
        """A Node from itself, ``"AET@host:port"`` or a name in nodes.toml.

        Raises
        ------
        InvalidRequest
            It is none of these.
        """
        if isinstance(node, Node):
            return node
        if not isinstance(node, str) or not node.strip():
            raise InvalidRequest(
                f"{node!r} is no node", advice='Write "AET@host:port", e.g. "ARCHIVE@pacs.hospital.org:104".'
            )
        if "://" in node:
            raise InvalidRequest(
                f"{node!r} is a URL, and DICOM has none",
                advice=f'Write "{node.strip().split("://", 1)[1]}", AET@host:port.',
            )
        if "@" not in node:
            return _named(node)
        match = _ADDRESS.fullmatch(node.strip())
        if not match and _NO_PORT.fullmatch(node.strip()):
            raise InvalidRequest(
                f"{node!r} lacks the port",
                advice=f'Write "{node.strip().rstrip(":")}:104", or the port that the PACS administrator gave.',
            )
        if not match:
            raise InvalidRequest(
                f"{node!r} is no address", advice='Write "AET@host:port", e.g. "ARCHIVE@pacs.hospital.org:104".'
            )
        if not re.fullmatch("[0-9]{1,9}", match["port"]):
            raise InvalidRequest(f"port {match['port']!r:.40} is no number", advice="Ports are 1 to 65535.")
        if _IP.fullmatch(match["title"]) and re.fullmatch(r"(?!localhost)[^.\[]+", match["host"]):
            raise InvalidRequest(
                f"{node!r} has an IP address where the AE title is due",
                advice=f'Write "{match["host"]}@{match["title"]}:{match["port"]}".',
            )
        return cls(match["title"], match["host"], int(match["port"]))


def _named(name: str) -> Node:
    from .addressbook import nodes

    known = nodes()
    match = _NO_TITLE.fullmatch(name.strip())
    if name not in known and match:
        raise InvalidRequest(
            f"{name!r} lacks the AE title, and no node of {known.path} has that name",
            advice=f'Write "AET@{match["host"]}:{match["port"] or 104}" with the AE title, and the port, that the PACS '
            "administrator gave.",
        )
    return known[name]
