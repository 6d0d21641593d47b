"""P3t: P3 through TLS: both sides show a certificate, and each client speaks the version and cipher of its choice."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from . import data, peers
from .harness import Row, Way
from .least import CT_STORAGE
from .p3_store import by_dicomlab, by_pynetdicom, server


@contextmanager
def prepare() -> Iterator[list[Way]]:
    import dicomlab as dl

    files = sorted(data.ct().iterdir())
    with peers.certificate() as pem, server(pem) as port:
        ours = dl.TLS(str(pem.certificate), str(pem.certificate), str(pem.key))
        context = ssl.create_default_context(cafile=str(pem.certificate))
        context.load_cert_chain(pem.certificate, pem.key)
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port, files, ours)),
            Way("pynetdicom", lambda timed: by_pynetdicom(timed, port, files, CT_STORAGE, context), mark=2),
        ]


ROW = Row("P3t", "C-STORE of 500 CT slices through TLS, to DCMTK's storescp", prepare, memory=300)
