"""How a connection is protected: certificates, versions, ciphers (PS3.15 annex B; BCP 195). Paths only, no secrets."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import InvalidRequest, did_you_mean
from ...remarks import remark
from .secret import Secret

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_WEAK = ("NULL", "RC4", "3DES", "DES-", "EXP", "ADH", "AECDH", "MD5", "IDEA", "SEED", "PSK", "SRP")
_PATHS = ("ca", "certificate", "key")


@dataclass(frozen=True)
class TLS:
    """TLS for one direction; `connect(..., tls=TLS(...))`, or a table ``tls`` in nodes.toml.

    The peer's certificate is always verified. A key password comes from a function or an environment variable; it is
    kept nowhere, and neither shown nor pickled.

    Examples
    --------
    >>> tls = TLS(ca="hospital-ca.pem", certificate="lab.pem", key="lab.key", password_variable="LAB_KEY_PASSWORD")
    >>> tls.minimum, tls.check_host
    ('1.2', True)
    >>> "LAB_KEY_PASSWORD" in repr(tls)
    False
    """

    ca: str = ""  # PEM file of trusted certificates; "" trusts what the system trusts
    certificate: str = ""  # PEM file of our certificate, and those between it and its CA
    key: str = ""  # PEM file of its key; "" where `certificate` holds it
    password: Callable[[], str] | None = field(default=None, repr=False)  # gives the password of the key when asked
    password_variable: str = field(default="", repr=False)  # or name of the environment variable that holds it
    minimum: str = "1.2"  # lowest version: "1.2" or "1.3"
    maximum: str = ""  # highest version; "" is the highest there is
    ciphers: tuple[str, ...] = ()  # of TLS 1.2, names of OpenSSL in order of preference; () is the library's choice
    check_host: bool = True  # whether the certificate must be for the host that we connect to
    server_name: str = ""  # name in the peer's certificate; "" is the host, and inbound any name that `ca` vouches for
    ask_certificate: bool = True  # inbound: who connects to us must show a certificate of `ca`

    def __post_init__(self) -> None:
        for name in _PATHS:
            object.__setattr__(self, name, _path(getattr(self, name), name))
        if self.password is not None and not callable(self.password):
            raise InvalidRequest(
                "password takes a function that gives the password, not the password",
                advice="password=getpass.getpass asks for it; password_variable= names an environment variable.",
            )
        if self.password is not None:
            object.__setattr__(self, "password", Secret(self.password))
        if self.password is not None and self.password_variable:
            raise InvalidRequest("password and password_variable were both given", advice="Give one of them.")
        _kind(self, str, "password_variable", "server_name")
        _kind(self, bool, "check_host", "ask_certificate")
        for name in ("minimum", "maximum"):
            version = getattr(self, name)
            if version not in VERSIONS and not (name == "maximum" and version == ""):
                raise InvalidRequest(
                    f"TLS {name}={version!r}", advice=f"Versions are {' and '.join(VERSIONS)}; older ones are unsafe."
                )
        if self.maximum and self.maximum < self.minimum:
            raise InvalidRequest(f"TLS maximum={self.maximum!r} is below minimum={self.minimum!r}")
        names = self.ciphers.split(":") if isinstance(self.ciphers, str) else self.ciphers
        object.__setattr__(self, "ciphers", _ciphers(names))
        if self.key and not self.certificate:
            raise InvalidRequest("TLS has a key and no certificate", advice="Give certificate= as well.")

    @classmethod
    def of(cls, value: Any) -> TLS | None:
        """TLS from itself, True (as the system trusts), a dict of its fields; None from None and False.

        Raises
        ------
        InvalidRequest
            It is none of these.
        """
        if value is None or value is False:
            return None
        if value is True:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise InvalidRequest(
                f"tls takes True, a dict or dicomlab.TLS, not {type(value).__name__}",
                advice='E.g. tls=dl.TLS(ca="ca.pem"); tls=True trusts what the system trusts.',
            )
        known = [item.name for item in fields(cls)]
        for name in value:
            if name not in known:
                raise InvalidRequest(
                    f"tls has no {name!r}{did_you_mean(str(name), known)}", advice=f"It has {', '.join(known)}."
                )
        return cls(**value)

    def client(self) -> ssl.SSLContext:
        """The context for connections that we make; made anew where a file has changed.

        Raises
        ------
        InvalidRequest
            A file is missing or holds something else, the password is wrong, or the key belongs elsewhere.
        """
        return _context(self, False, self._files())

    def server(self) -> ssl.SSLContext:
        """The context for connections that come to us; raises as `client` does."""
        if not self.certificate:
            raise InvalidRequest(
                "to receive through TLS, a certificate of our own is needed",
                advice='Give listen_tls=dl.TLS(ca=..., certificate="lab.pem", key="lab.key") with what the archive '
                "trusts, or receive without protection by listen_tls=False.",
            )
        return _context(self, True, self._files())

    def _files(self) -> tuple[int, ...]:
        return tuple(_changed(getattr(self, name), name) for name in _PATHS)

    def __copy__(self) -> TLS:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TLS:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A function that gives a password may hold it: it is left out.
        return _rebuilt, ({item.name: getattr(self, item.name) for item in fields(self) if item.name != "password"},)


def _rebuilt(values: dict[str, Any]) -> TLS:
    return TLS(**values)


def _path(value: Any, name: str) -> str:
    if not isinstance(value, str | Path):
        raise InvalidRequest(f"TLS {name} takes the path of a PEM file, not {type(value).__name__}")
    if "-----BEGIN" in str(value):
        raise InvalidRequest(f"TLS {name} takes the path of a PEM file, not what it holds", advice="Save it first.")
    return os.path.expanduser(value)


def _kind(settings: TLS, kind: type, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(settings, name), kind):
            raise InvalidRequest(f"TLS {name} takes a {kind.__name__}")


def _ciphers(names: Iterable[Any]) -> tuple[str, ...]:
    """Those names, none of them unknown or weak."""
    found = tuple(names)
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in found:
        try:
            scratch.set_ciphers(name)
        except (ssl.SSLError, TypeError, ValueError):
            raise InvalidRequest(
                f"there is no cipher {name!r}", advice='Names are those of "openssl ciphers -v".'
            ) from None
        for cipher in scratch.get_ciphers():
            if cipher["protocol"] != "TLSv1.3" and any(part in cipher["name"] for part in _WEAK):
                raise InvalidRequest(
                    f"the cipher {cipher['name']} of {name!r} is too weak", advice="BCP 195 names those that are not."
                )
    return found


def _changed(path: str, name: str) -> int:
    """When that file was changed, so that a renewed certificate is used; 0 for none."""
    if not path:
        return 0
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise InvalidRequest(f"TLS {name}: {path}: {error.strerror}", advice="Check the path.") from None


@lru_cache(maxsize=16)
def _context(settings: TLS, inbound: bool, files: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if inbound else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[settings.minimum]
    if settings.maximum:
        context.maximum_version = VERSIONS[settings.maximum]
    context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0)
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    if inbound:
        context.verify_mode = ssl.CERT_REQUIRED if settings.ask_certificate else ssl.CERT_NONE
    else:
        context.check_hostname = settings.check_host
    _trust(context, settings, inbound)
    if settings.certificate:
        _identify(context, settings)
    return context


def _trust(context: ssl.SSLContext, settings: TLS, inbound: bool) -> None:
    if not settings.ca:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH if inbound else ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(cafile=settings.ca)
    except (ssl.SSLError, OSError) as error:
        raise InvalidRequest(
            f"TLS ca: {settings.ca} holds no certificate ({_reason(error)})",
            advice='It is a PEM file, with "-----BEGIN CERTIFICATE-----".',
        ) from None


def _identify(context: ssl.SSLContext, settings: TLS) -> None:
    """Load our certificate and key; the password goes from its source to the library and nowhere else."""
    asked: list[bool] = []
    failed: list[Exception] = []

    def password() -> str:
        asked.append(True)
        try:
            return _password(settings)
        except Exception as error:
            failed.append(error)
            raise

    try:
        context.load_cert_chain(settings.certificate, settings.key or None, password)
        return
    except Exception as error:
        wrong = _wrong(settings, failed[0] if failed else error, bool(failed), bool(asked))
    failed.clear()
    raise wrong  # here, so that it has no context: what that says may be the password, and it may be pickled


def _wrong(settings: TLS, error: Exception, of_function: bool, asked: bool) -> InvalidRequest:
    """Why our certificate and key cannot be had, without what the function that gives the password has said."""
    place = settings.key or settings.certificate
    if of_function:
        if isinstance(error, InvalidRequest):
            return error.with_traceback(None)
        return InvalidRequest(
            f"the function that gives the password of {place} raised {type(error).__name__}",
            advice="Call it yourself to see why.",
        )
    if asked:
        words, advice = f"the password does not open the key in {place}", "Check the password."
    elif "KEY_VALUES_MISMATCH" in str(error):
        words = f"the key in {place} is not that of the certificate in {settings.certificate}"
        advice = "Give the key that the certificate was made for."
    else:
        words = f"{settings.certificate} and {place} do not hold a certificate and its key"
        advice = "Both are PEM files: certificate first, then those between it and its CA."
    return InvalidRequest(f"TLS: {words} ({_reason(error)})", advice=advice)


def _password(settings: TLS) -> str:
    if settings.password is not None:
        return settings.password()
    if not settings.password_variable:
        raise InvalidRequest(
            f"the key in {settings.key or settings.certificate} has a password, and none was given",
            advice="Give TLS(password=getpass.getpass), or password_variable= with the name of an environment "
            "variable that holds it.",
        )
    held = os.environ.get(settings.password_variable)
    if held is None:
        raise InvalidRequest(  # without its name: a user may have written the password there
            "the environment variable named as password_variable is not set",
            advice="password_variable= takes the name of a variable, never the password.",
        )
    return held


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__


def warn_of_plain(peer: str) -> None:
    """Say that what an archive sends to us comes without TLS, although we ask through TLS (R1.13)."""
    text = f"{peer}: requests go through TLS, but what C-MOVE sends to us comes without it (listen_tls=False)"
    remark(text, stacklevel=2)
