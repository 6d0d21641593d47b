"""What is written down of the calls of a peer."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .association.logfile import LIMIT
from .calling import Calling

if TYPE_CHECKING:
    from .association.audit import TransactionLog
    from .association.dump import MessageDump


class Recording(Calling):
    """The transaction log and the dump of messages."""

    def log_to(
        self,
        where: str | os.PathLike[str] | Callable[[dict[str, Any]], object],
        *,
        user: str | None = None,
        reason: str = "",
        names: bool = False,
        strict: bool = False,
        limit: int = LIMIT,
    ) -> TransactionLog:
        """Log who asks this peer for what, when, and what comes of it: a line for each association and operation.

        It begins with the next call and ends with ``close()`` of what is given back, or at the end of its ``with``
        block. Of no patient more than UIDs is written, unless `names` asks for it; see `TransactionLog` for the lines.

        Parameters
        ----------
        where
            A file, which is appended to (mode 0600); or a function of a dict, called in the thread that works.
        user
            Who works here; default the user of this computer.
        reason
            Why, such as the number of a study protocol; in every line.
        names
            Write the values that were asked for, and what errors say; pseudonyms while ``options.phi`` is off.
        strict
            End a call whose line cannot be written, with LogError. Otherwise it is warned of once and counted.
        limit
            Bytes after which the file gets its time as an ending, and a new one is begun. None is deleted.

        Raises
        ------
        InvalidRequest
            The file cannot be written, or it is no place for a log.

        Examples
        --------
        >>> import dicomlab as dl
        >>> lines = []
        >>> with dl.demo_pacs() as pacs, pacs.log_to(lines.append, reason="protocol 12"):
        ...     _ = pacs.find("STUDY", PatientName="DEMO*")
        >>> [line.get("state") or line["service"] for line in lines]
        ['accepted', 'C-FIND', 'released']
        >>> lines[1]["status"], lines[1]["level"], "PatientName" in lines[1]["keys"], lines[1]["reason"]
        ('0x0000', 'STUDY', True, 'protocol 12')
        """
        from .association.audit import TransactionLog

        self._check_open()
        return TransactionLog(
            self.hooks, where, user=user, reason=reason, names=names, strict=strict, limit=limit
        )

    def dump_to(
        self,
        where: str | os.PathLike[str] | Callable[[str], object],
        *,
        names: bool = False,
        strict: bool = False,
        limit: int = LIMIT,
    ) -> MessageDump:
        """Write every message to and from this peer as text: negotiation, command sets, data sets but for their pixels.

        For finding out why two systems do not understand each other; it slows retrievals down. The arguments are those
        of `log_to`. Values that name a patient are pseudonyms, unless `names` asks for them.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs, pacs.dump_to(lambda text: print(text.split()[1:4])):
        ...     _ = pacs.echo()
        ['==', 'association', 'requested,']
        ['==', 'association', 'accepted,']
        ['->', 'C-ECHO-RQ', '1,']
        ['<-', 'C-ECHO-RSP', '1,']
        ['==', 'association', 'released,']
        """
        from .association.dump import MessageDump

        self._check_open()
        return MessageDump(self.hooks, where, names=names, strict=strict, limit=limit)
