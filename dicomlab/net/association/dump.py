"""The message dump: what goes over an association, in words (R1.15)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ... import phi
from ...amounts import counted
from ...markup import printable
from .hooks import ASSOCIATION, AssociationEvent, MessageEvent
from .logfile import Log
from .messages import header

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SHOWN: Final = 200  # characters of a value
_BYTES: Final = frozenset(("OB", "OW", "OF", "OD", "OL", "OV", "UN"))
_ARROWS: Final = {"sent": "->", "received": "<-"}


class MessageDump(Log):
    """Every message of a peer as text, in the order of the wire; made by `Peer.dump_to`.

    Of each message its name, id, presentation context and size, the command set, and the data set without its pixel
    data; of each association what was proposed and accepted. User identities and passwords are not in it. Values that
    name a patient are pseudonyms (those of this session), unless ``names=True`` and ``options.phi`` is on.
    """

    states = (*ASSOCIATION, "TLS ready")

    def note(self, text: str, dataset: Dataset | None = None) -> None:
        """Add a text of your own, and a data set.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs, pacs.dump_to(lambda text: print(text.splitlines()[0][26:])) as dump:
        ...     dump.note("before the question of the ward round")
        note: before the question of the ward round
        """
        try:
            self._put(f"note: {text}", self._elements(dataset) if dataset is not None else ())
        except Exception as error:
            self._not_written(error)

    def _message(self, event: MessageEvent) -> None:
        size = "no data set" if event.data is None else f"data set of {len(event.data):,} bytes"
        head = f"{_ARROWS[event.direction]} {event.name} {event.message_id}, {self._whom(event)}"
        lines = [f"  context {event.context_id}: {event.abstract_syntax}, {event.transfer_syntax}; {size}"]
        lines += self._elements(event.command_set())
        if event.data is not None:
            lines.append("  data set")
            try:
                lines += self._elements(header(event.data, event.transfer_syntax), 2)
            except Exception as error:  # pydicom decodes a value when it is asked for, and raises anything
                lines.append(f"    cannot be read: {printable(str(error)) if self._shown else type(error).__name__}")
        self._put(head, lines)

    def _association(self, event: AssociationEvent) -> None:
        lines: list[str] = []
        if event.error is not None:
            told = f": {printable(str(event.error))}" if self._shown else ""
            lines.append(f"  {type(event.error).__name__}{told}")
        if event.event == "association accepted" and event.negotiated is not None:
            lines += [f"  {line}" for line in repr(event.negotiated).splitlines()]
        elif event.event == "association requested" and event.proposal is not None:
            for number, (abstract, syntaxes) in enumerate(event.proposal.contexts):
                lines.append(f"  context {2 * number + 1}: {abstract}, {' '.join(syntaxes)}")
        elif event.event == "TLS ready":
            lines.append(f"  {printable(str(event.tls))}")
        self._put(f"== {event.event}, {self._whom(event)}", lines)

    def _whom(self, event: AssociationEvent | MessageEvent) -> str:
        number = f", association {event.association}" if event.association else ""
        return f"{event.calling} and {event.peer}{number}"

    @property
    def _shown(self) -> bool:
        return self._names and not phi.masking()

    def _elements(self, found: Dataset, depth: int = 1) -> Iterator[str]:
        """The elements as lines; a value that is long, or is bytes, by its length."""
        space = "  " * depth
        for element in found:
            tag, vr = int(element.tag), str(element.VR)
            label = f"{space}({tag >> 16:04x},{tag & 0xFFFF:04x}) {vr} {element.keyword or element.name}"
            if vr == "SQ":
                yield f"{label}: {counted(len(element.value), 'item')}"
                for number, item in enumerate(element.value, 1):
                    yield f"{space}  item {number}"
                    yield from self._elements(item, depth + 2)
            else:
                yield f"{label}: {self._value(tag, vr, element.value)}"

    def _value(self, tag: int, vr: str, found: Any) -> str:
        from pydicom.multival import MultiValue

        if found is None:
            return ""
        if vr in _BYTES or isinstance(found, bytes):
            return f"<{len(found):,} bytes>"
        several = list(found) if isinstance(found, list | tuple | MultiValue) else [found]
        texts = [str(one) for one in several[:_SHOWN]]
        if not self._shown and tag >> 16:  # a command set has AE titles and Error Comments: the latter may hold names
            texts = [str(phi.value(tag, vr, text)) for text in texts]
        elif not self._shown and tag == 0x00000902:
            texts = [phi.pseudonym(text) for text in texts]
        text = printable("\\".join(texts))
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"

    def _put(self, head: str, lines: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = "\n".join([f"{now}  {head}", *lines]) + "\n"
        self._write(text, text)
