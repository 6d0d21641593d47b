"""A certificate for the embedded PACS and for who asks it, made when it is needed, by the openssl command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path


class SelfSigned:
    """One certificate that both sides show and trust, in a folder of its own; for this machine, good for a week.

    Raises
    ------
    RuntimeError
        The openssl command is not there, or failed.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dicomlab-demo-tls-"))
        self.certificate, self.key = str(self.folder / "certificate.pem"), str(self.folder / "key.pem")
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        into = ("-nodes", "-keyout", self.key, "-out", self.certificate)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "7", *into, *names]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RuntimeError(
                "the openssl command, which makes a certificate for the embedded PACS, is not there or failed. "
                "Install OpenSSL, or use the embedded PACS without tls=True."
            ) from error

    @property
    def settings(self) -> dict[str, str]:
        """As `connect` takes them."""
        return {"ca": self.certificate, "certificate": self.certificate, "key": self.key}

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Of one side; both ask the other for its certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.certificate)
        context.load_cert_chain(self.certificate, self.key)
        return context
