"""What a peer is sent, and asked to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from .association.call import Call
from .calling import Calling, waiting

if TYPE_CHECKING:
    import pandas as pd

    from .association.job import Job


class Sending(Calling):
    """Storage and storage commitment."""

    @overload
    def store(
        self,
        what: Any,
        *,
        originator: str | tuple[str, int] | None = None,
        priority: str = "medium",
        prefer: str | None = None,
        lossy: float | None = None,
        errors: str | None = None,
        background: Literal[False] = False,
        progress: Any = None,
        timeout: float | None = None,
    ) -> pd.DataFrame: ...
    @overload
    def store(
        self,
        what: Any,
        *,
        originator: str | tuple[str, int] | None = None,
        priority: str = "medium",
        prefer: str | None = None,
        lossy: float | None = None,
        errors: str | None = None,
        background: bool,
        progress: Any = None,
        timeout: float | None = None,
    ) -> Job | Any: ...
    def store(
        self,
        what: Any,
        *,
        originator: str | tuple[str, int] | None = None,
        priority: str = "medium",
        prefer: str | None = None,
        lossy: float | None = None,
        errors: str | None = None,
        background: bool = False,
        progress: Any = None,
        timeout: float | None = None,
    ) -> pd.DataFrame | Job:
        """Send instances: C-STORE (PS3.4 annex B).

        Each goes as it is where the peer takes its transfer syntax; else it is changed to one that the peer takes,
        without loss, and its pixels are compared before it is sent.

        Parameters
        ----------
        what
            A table with a column ``path``, as `retrieve` and `scan` make it, or rows of one; a path of a file, folder,
            zip archive or DICOMDIR; a pydicom data set; or several of these. Of a table that this method made for this
            peer only the rows that are not ``stored`` are sent, so that giving it back goes on. What is given twice is
            sent once; of two that share a SOP Instance UID and differ, the first.
        originator
            AE title that asked for the C-MOVE of which this is part, or a pair of it and its message id.
        priority
            "low", "medium" or "high".
        prefer
            UID of a transfer syntax to change to where the peer takes it, before an instance's own.
        lossy
            How many to one images are compressed with loss, as JPEG 2000; default: never. What is sent is a copy that
            says so, under a SOP Instance UID of its own; what is no image, or has lost already, goes as it is.
        errors
            "raise" an IncompleteStore where an instance is not stored, or "report": a warning, and the rows say why.
            Default: "raise" for one data set or file, "report" for more.
        background
            Come back at once with a `Job`.
        progress
            False, True, or a function of (done, total).
        timeout
            Seconds without progress, for this call.

        Returns
        -------
        pandas.DataFrame
            The rows that were given, or one an instance, with ``stored``, ``status`` (0xB000 to 0xBFFF are warnings)
            and its ``meaning``, ``comment`` (the peer's, or why it was not sent), ``sent_as`` (the UID of the transfer
            syntax), ``AffectedSOPInstanceUID`` (that it was sent under, where that is another), ``context`` and
            ``seconds``.

        Raises
        ------
        InvalidRequest
            Nothing is selected, or the node is read-only; nothing was sent.
        NoAcceptedContext
            The peer takes none of the classes.
        IncompleteStore
            With ``rows``.
        Interrupted
            Ctrl-C; with ``rows``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> from pydicom.data import get_testdata_file
        >>> with dl.demo_pacs() as pacs:
        ...     sent = pacs.store([get_testdata_file("CT_small.dcm"), get_testdata_file("MR_small_RLE.dcm")])
        ...     sent.stored.tolist(), sent.meaning.tolist()
        ([True, True], ['stored', 'stored'])
        """
        from .store import delivery  # what it needs of files is not due before

        self.node.require("store")
        how = delivery.manner(originator, priority, prefer, lossy)
        delivery.check(errors)

        def run(call: Call, shown: Any) -> pd.DataFrame:
            return call.run(
                self.node,
                lambda: delivery.store(self.node, what, call.clock, how=how, progress=shown, errors=errors),
            )

        if not background:
            return run(self._call(timeout), progress)
        return self._job(f"store to {self.node.identity}", run, timeout, progress)

    def commit(self, what: Any, *, wait: float = 30.0, timeout: float | None = None) -> pd.DataFrame:
        """Ask the archive to say that it keeps instances: Storage Commitment Push Model (PS3.4 annex J).

        The answer comes on the same association or to our listener (``listen=``), at once or after days; what was asked
        is kept on disk, and `commitments` has it in a later session too.

        Parameters
        ----------
        what
            A table with SOPClassUID and SOPInstanceUID, such as `store` gives (rows that are not ``stored`` are left
            out), or what `store` takes.
        wait
            Seconds to wait for the answer; 0 comes back once the archive has taken the request.

        Returns
        -------
        pandas.DataFrame
            The rows, with ``committed`` (True, False, or NA where there is no answer yet), ``failure_reason``,
            ``commitment`` in words and the ``transaction``.

        Raises
        ------
        InvalidRequest
            Nothing is selected, or the node may not ``commit``; nothing was sent.
        NoAcceptedContext, StatusError
            The peer does not take the request; nothing stays asked for.

        Examples
        --------
        >>> import dicomlab as dl
        >>> from pydicom.data import get_testdata_file
        >>> with dl.demo_pacs() as pacs:
        ...     pacs.commit(pacs.store(dl.scan(get_testdata_file("CT_small.dcm")))).commitment.tolist()
        ['committed']
        """
        from .store import commitment

        self.node.require("commit")
        with self._call(timeout) as call:
            return commitment.commit(self.node, what, call.clock, wait=waiting(wait))

    def commitments(self, *, wait: float = 0.0, timeout: float | None = None) -> pd.DataFrame:
        """What `commit` has asked of this peer, in this session and before, and what it has answered by now.

        An archive can answer only while somebody listens, and many try once: where "no answer yet" stays, call
        `commit` again and let it wait.

        Parameters
        ----------
        wait
            Seconds to listen for answers that have not come yet.

        Returns
        -------
        pandas.DataFrame
            One row an instance, as `commit` gives.
        """
        from .store import commitment

        with self._call(timeout) as call:
            return commitment.collect(self.node, call.clock, wait=waiting(wait))
