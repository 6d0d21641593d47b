"""How an update of a patient is looked at, sent and logged (R11.2, R11.3, R11.5, R11.8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from ... import phi
from ...datasets.elements import Elements
from ...datasets.uids import IMPLICIT
from ...errors import DicomlabError, InvalidRequest, NoAcceptedContext, StatusError
from ...level import QueryLevel
from ...queries.identifier import encode
from ..association.association import associate
from ..association.audit import TransactionLog
from ..association.contexts import VERIFICATION, Context
from ..association.normalized import Normalized
from ..association.operation import Course
from ..association.remembered import state_folder
from ..query.steps import plan_of
from .patientupdate import PatientUpdate
from .updates import (
    COMMON,
    INSTANCE,
    UNCONFIRMED,
    UPDATER,
    Action,
    How,
    gone,
    named,
    new_transaction,
    stamped,
    with_values,
    words_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..peer import Peer

MOST = 1000  # matches of a question of ours
_LOG = "patient-updates.jsonl"
#: What to do about an action that was not done, by its status.
_AFTER: dict[int | None, str] = {
    0x0116: "Nothing was changed. Check the study or series with find().",
    0x0117: "Nothing was changed. This server calls its instance otherwise, and is perhaps of another kind.",
    0x0120: "Nothing was changed. Check the PatientID with find().",
    0x0123: "Nothing was changed. This server does not know the action.",
    0x0211: "Nothing was changed. Ask its administrator to allow it for your AE title.",
}
_CONTEXTS = [Context(one, (IMPLICIT,)) for one in (UPDATER, VERIFICATION)]


class Updating:
    """What every action of `PatientUpdater` goes through."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._open: dict[str, str] = {}  # operations that have not succeeded: Transaction UID by their digest

    def __repr__(self) -> str:
        return f"PatientUpdater of {self._peer.node.identity}: {', '.join(one.name.lower() for one in Action)}"

    @property
    def log(self) -> Path:
        """The file to which every action is written with its reason, also where no other log is kept (R11.8)."""
        return state_folder() / _LOG

    def _do(self, action: int, dataset: Dataset, how: How, *, untaken: str = "") -> PatientUpdate:
        """Send it, or show what would be sent; `untaken` is a PatientID that nobody may have."""
        node = self._peer.node
        digest = _digest(node.identity, action, dataset)
        transaction = how.get("transaction") or self._open.get(digest) or new_transaction()
        stamped(dataset, action, how, transaction)
        lacks = self._lacking(action, dataset, how)
        if how.get("dry_run"):
            taken = bool(untaken) and bool(self._ask({"PatientID": untaken}, (), how))
            may = [] if "update_patient" in node.allow else ['allow="update_patient" of the node']
            needs = (*may, *(say for _, say in lacks), *([_merge_instead(untaken)] if taken else []))
            found = self._found(action, dataset, how)
            return PatientUpdate(action, node.identity, transaction, _given(dataset), found=found, lacks=needs)
        node.require("update_patient")
        for why, say in lacks:
            raise InvalidRequest(
                f"{words_of(action)} is not sent: {why}",
                peer=node.identity,
                advice=f"Look with dry_run=True first; if it is meant, it takes {say}.",
            )
        if untaken:
            self._refuse_taken(untaken, how)
        return self._send(action, dataset, how, transaction, digest)

    def _lacking(self, action: int, dataset: Dataset, how: How) -> list[tuple[str, str]]:
        """Why it is not sent yet, and what must be said before it is."""
        lacks: list[tuple[str, str]] = []
        guessed = action in UNCONFIRMED or "ReferencedStudySequence" in dataset
        if guessed and not self._peer.node.quirks.leadtools:
            lacks.append(
                (
                    "how it is encoded was not confirmed with any server",
                    "quirks.leadtools = true in the node's entry, for a server of LEAD Technologies",
                )
            )
        going, confirm = gone(action, dataset), how.get("confirm", ())
        said = [confirm] if isinstance(confirm, str) else list(confirm) if isinstance(confirm, Iterable) else []
        if going and sorted(str(phi.real(one)) for one in said) != sorted(going):
            names = [f'"{one if one in _uids(dataset) else phi.named("PatientID", one)}"' for one in going]
            text = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
            lacks.append(
                ("it cannot be undone, and confirm= does not name exactly what will be gone", f"confirm={text}")
            )
        return lacks

    def _refuse_taken(self, new: str, how: How) -> None:
        """R11.3."""
        try:
            taken = self._ask({"PatientID": new}, (), how)
        except DicomlabError as error:
            error.advice = "Whether the new PatientID is taken is not known without an answer, so nothing was changed."
            raise
        if taken:
            raise InvalidRequest(
                f"there is a patient {new!r} already, so that this would be a merge",
                peer=self._peer.node.identity,
                advice=f"It takes {_merge_instead(new)}.",
            )

    def _send(self, action: int, dataset: Dataset, how: How, transaction: str, digest: str) -> PatientUpdate:
        peer, hooks = self._peer, self._peer.hooks.copy()
        try:
            self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidRequest(
                f"the log of patient updates cannot be written ({error.strerror}), and none is done without it",
                advice="Make room for it, or name another folder in the environment variable DICOMLAB_STATE.",
            ) from None
        self._open[digest] = transaction  # until it has succeeded (R11.5)
        with TransactionLog(hooks, self.log, reason=how["reason"], strict=True), peer._call(how.get("timeout")) as call:
            call.clock.hooks = hooks.of_call(call.clock)
            sent = False
            try:
                with associate(peer.node, _CONTEXTS, call.clock, phase="N-ACTION") as association:
                    association.context(UPDATER)
                    request = Normalized(association, "PATIENT")
                    sent = True  # it may have been done
                    reply = request.action(UPDATER, INSTANCE, action, dataset)
            except NoAcceptedContext as error:
                error.message = f"the patient updater ({UPDATER}) was not accepted: no permission, or no such service"
                raise
            except StatusError as error:
                error.advice = _AFTER.get(error.status.code if error.status else None, error.advice)
                raise
            except KeyboardInterrupt as error:
                if sent:
                    error.add_note(f"Whether it was done is not known; the transaction is {transaction}.")
                raise
            except DicomlabError as error:
                if sent:
                    known = "Whether it was done is not known: look with find()"
                    error.advice = f"{known}. Said again, it goes out with the same transaction={transaction!r}."
                raise
        self._open.pop(digest, None)
        said = None if reply.data is None else phi.dataset(reply.data.dataset())
        return PatientUpdate(action, peer.node.identity, transaction, _given(dataset), reply.status, reply=said)

    # -- what the archive has ------------------------------------------------------------------------------------

    def _ask(self, keys: Mapping[str, Any], names: Iterable[str], how: How) -> list[Elements]:
        """Studies, or series, with exactly those unique keys; values as they are, whether names are hidden or not."""
        peer = self._peer
        level = QueryLevel.SERIES if "SeriesInstanceUID" in keys else QueryLevel.STUDY
        plan = plan_of(None, level, {**keys, **dict.fromkeys(names)}, None)
        with (
            peer._call(how.get("timeout")) as call,
            associate(peer.node, plan.contexts, call.clock, phase="C-FIND", extended=plan.extended) as association,
        ):
            matches = list(plan.run(association, Course(MOST)))
        return [one for one in matches if all(one.text(name).strip() == keys[name].strip() for name in keys)]

    def _fill(
        self,
        made: Dataset,
        names: Iterable[str],
        attributes: Mapping[str, Any],
        keys: Mapping[str, str],
        how: How,
        other: Mapping[str, str] | None = None,
    ) -> None:
        """Attributes as given; those that are not, as the archive has them."""
        with_values(made, attributes)
        missing = [name for name in names if name not in attributes]
        if not missing:
            return
        found = self._ask(keys, missing, how)
        if not found and other is not None:
            keys, found = other, self._ask(other, missing, how)
        what = ", ".join(f"{name} {value!r}" for name, value in keys.items())
        if not found:
            raise InvalidRequest(
                f"the archive has nothing of {what}, and {', '.join(missing)} cannot be left as it is",
                peer=self._peer.node.identity,
                advice="Check the identifier; or give these too.",
            )
        for name in missing:
            several = {one.text(name) for one in found if one.text(name)}
            if len(several) > 1:
                raise InvalidRequest(
                    f"{what} has {len(several)} different values of {name}, and none is chosen",
                    peer=self._peer.node.identity,
                    advice=f"Give {name} too.",
                )
            with_values(made, {name: next(iter(several), None)})

    def _found(self, action: int, dataset: Dataset, how: How) -> pd.DataFrame:
        """What a dry run shows: the series, or the studies, that are named."""
        import pandas as pd

        patients, studies, series = named(dataset)
        questions: list[dict[str, Any]]
        if series:
            study = how.get("study") or (studies[0] if studies and action == Action.DELETE_SERIES else "")
            questions = [
                {"SeriesInstanceUID": series, "PatientID": None, **({"StudyInstanceUID": study} if study else {})}
            ]
        elif studies:
            questions = [{"StudyInstanceUID": studies}]
        else:
            questions = [{"PatientID": one} for one in patients]
        level = "SERIES" if series else "STUDY"
        tables = [self._peer.find(level, timeout=how.get("timeout"), **one) for one in questions]
        return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _given(dataset: Dataset) -> Dataset:
    """The data set as it may be given to the user."""
    return phi.dataset(deepcopy(dataset))


def _uids(dataset: Dataset) -> list[str]:
    _, studies, series = named(dataset)
    return [*studies, *series]


def _digest(identity: str, action: int, dataset: Dataset) -> str:
    """What makes two operations the same, but for when and why they are said."""
    kept = deepcopy(dataset)
    for keyword in (*COMMON.values(), "InstanceCreationDate", "InstanceCreationTime"):
        if keyword in kept:
            del kept[keyword]
    return hashlib.sha256(f"{identity} {action} ".encode() + encode(kept, implicit=False)).hexdigest()


def _merge_instead(new: str) -> str:
    return f"another PatientID; or merge_patient(..., into={phi.named('PatientID', new)!r}), if both are one person"
