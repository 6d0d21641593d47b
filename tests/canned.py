"""An archive that answers C-FIND as a test says: pynetdicom's acceptor and a function of the Identifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

QUERY = "1.2.840.10008.5.1.4.1.2."
WORKLIST = "1.2.840.10008.5.1.4.31"
Answers = Iterable[tuple[int, Dataset | None]]


def match(**values: object) -> Dataset:
    """A response Identifier of those attributes."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


@contextmanager
def archive(answer: Callable[[Dataset], Answers], *, relational: bool = False) -> Iterator[str]:
    """Its address; `answer` gives status and Identifier of each response to a C-FIND."""
    ae = AE("CANNED")
    for model in (*(f"{QUERY}{root}.1" for root in "123"), WORKLIST):
        ae.add_supported_context(model)
    handlers = [
        (evt.EVT_C_FIND, lambda event: iter(answer(event.identifier))),
        (evt.EVT_SOP_EXTENDED, lambda event: dict(event.app_info) if relational else {}),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    try:
        yield f"CANNED@127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
