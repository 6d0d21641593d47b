"""What an error of the TLS library means in words, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """Why TLS failed."""

    words: str
    advice: str


EXPECTED = Reason(
    "the peer expects TLS at this port",
    'Connect with tls=, e.g. tls=dl.TLS(ca="ca.pem"), or ask for its port for plain DICOM.',
)

#: What is in the library's text of an error; what it means; what to do. The first that fits.
_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "certificate required|peer did not return a certificate",
        "a client certificate is required, and none was shown",
        "Give one that the peer trusts: dl.TLS(ca=..., certificate=..., key=...).",
    ),
    (
        "alert unknown ca",
        "the peer does not trust our certificate",
        "Ask the PACS administrator to add the CA of your certificate.",
    ),
    (
        "alert certificate expired",
        "the peer says that our certificate has expired",
        "Renew the certificate.",
    ),
    (
        "alert bad certificate|alert certificate unknown|alert unsupported certificate|alert certificate revoked"
        "|alert no certificate",
        "the peer refuses our certificate",
        "Its log says why; perhaps none was given, or another CA made it.",
    ),
    (
        "certificate has expired",
        "the peer's certificate has expired",
        "Ask the PACS administrator for a new one.",
    ),
    (
        "certificate is not yet valid",
        "the peer's certificate is not valid yet",
        "Compare the clocks of both machines.",
    ),
    (
        "hostname mismatch|ip address mismatch",
        "the peer's certificate is for another host",
        "Connect by the name that is in it, or give that name: dl.TLS(server_name=...).",
    ),
    (
        "self-signed certificate|self signed certificate|unable to get local issuer|unable to get issuer"
        "|unable to verify the first",
        "the peer's certificate is of a CA that is not trusted here",
        "Give the CA's certificate, after checking it with the PACS administrator: dl.TLS(ca=...).",
    ),
    (
        "unsupported protocol|protocol version|no protocols available|version too low",
        "the two sides have no TLS version in common",
        "TLS 1.1 and older are unsafe and never used here: the peer is to be brought to TLS 1.2 or later.",
    ),
    (
        "no shared cipher|handshake failure|no ciphers available|insufficient security",
        "the two sides have no cipher in common, or the peer misses a client certificate",
        "Ask which ciphers and certificates the peer takes; see dl.TLS(ciphers=..., certificate=...).",
    ),
    (
        "wrong version number|http request|record layer failure|unknown protocol",
        "the peer speaks no TLS",
        "This may be a port for plain DICOM.",
    ),
    (
        "eof occurred|unexpected eof|reset|broken pipe",
        "the peer closed the connection in the middle of TLS",
        "It may speak no TLS at this port, or miss a client certificate; its log says more.",
    ),
    ("certificate verify failed", "the peer's certificate cannot be trusted", "Ask the PACS administrator."),
)


def explained(error: OSError, inbound: bool = False) -> Reason:
    """What that error of the TLS library means, with its own words in parentheses."""
    message = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror or str(error)
    known = f"{message} {error}".lower().replace("_", " ")
    for texts, words, advice in _REASONS:
        if any(text in known for text in texts.split("|")):
            return Reason(f"{words} ({message})", "" if inbound else advice)
    return Reason(f"TLS failed ({message})", "" if inbound else "The peer's log may say more.")
