"""P1t: P1 through TLS: both sides show a certificate, and each client speaks the version and cipher of its choice.

getscu has no TLS.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from . import data, peers
from .harness import Row, Way
from .p1_get import by_dicomlab, by_pynetdicom


@contextmanager
def prepare() -> Iterator[list[Way]]:
    import dicomlab as dl

    with peers.certificate() as pem, peers.orthanc("ct", data.ct(), data.SLICES, tls=pem) as port:
        ours = dl.TLS(str(pem.certificate), str(pem.certificate), str(pem.key))
        context = ssl.create_default_context(cafile=str(pem.certificate))
        context.load_cert_chain(pem.certificate, pem.key)
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, "ORTHANC", port, ours)),
            Way("pynetdicom", lambda timed: by_pynetdicom(timed, "ORTHANC", port, context), mark=2),
        ]


ROW = Row("P1t", "C-GET of 500 CT slices through TLS, from Orthanc", prepare, memory=700)
