"""Certificates for tests, made by the openssl command: a CA, and what it and others sign."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import require_peer

PASSWORD = "a Secret of the key"


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files in one folder: ``NAME.pem`` is a certificate and ``NAME.key`` its key."""

    folder: Path

    def __getattr__(self, name: str) -> str:
        """``certificates.server_key`` is the path of server.key, ``certificates.server`` that of server.pem."""
        stem, ending = (name[:-4], "key") if name.endswith("_key") else (name, "pem")
        return str(self.folder / f"{stem}.{ending}")


def made(folder: Path) -> Certificates:
    """A CA; of it `server` (localhost, 127.0.0.1), `client`, `elsewhere` (another host) and `expired`; `locked.key`,
    the key of the client under PASSWORD; `other`, another CA, and of it `stranger`.
    """
    here = Certificates(folder)
    for name in ("ca", "other"):
        _openssl("req", "-x509", *_new_key(here, name), "-days", "30", "-subj", f"/O=Tests/CN={name}")
    ours = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    for name, ca, names, days in (
        ("server", "ca", ours, 30),
        ("client", "ca", ours, 30),
        ("elsewhere", "ca", "subjectAltName=DNS:elsewhere.example", 30),
        ("expired", "ca", ours, -1),
        ("stranger", "other", ours, 30),
    ):
        _openssl("req", *_new_key(here, name), "-subj", f"/O=Tests/CN={name}")
        (folder / "names").write_text(names)
        signed = ["-CA", getattr(here, ca), "-CAkey", getattr(here, f"{ca}_key"), "-CAcreateserial"]
        dates = ["-days", str(days), "-extfile", str(folder / "names")]
        _openssl("x509", "-req", "-in", str(folder / f"{name}.csr"), *signed, *dates, "-out", getattr(here, name))
    locked = ["-aes256", "-passout", f"pass:{PASSWORD}", "-out", here.locked_key]
    _openssl("rsa", "-in", here.client_key, *locked)
    return here


def _new_key(here: Certificates, name: str) -> list[str]:
    out = getattr(here, name) if name in ("ca", "other") else str(here.folder / f"{name}.csr")
    return ["-newkey", "rsa:2048", "-nodes", "-keyout", getattr(here, f"{name}_key"), "-out", out]


def _openssl(*words: str) -> None:
    done = subprocess.run([require_peer("openssl"), *words], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"openssl {words[0]}: {done.stderr[-500:]}")
