"""A named profile of PS3.15 by a library that is kept for it (R13.13; extra ``deidentify``)."""

from __future__ import annotations

import copy
import os
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from .. import phi
from ..disk.placing import Piece
from ..errors import BadFile, InvalidRequest, MissingCodec, ResultWarning, did_you_mean
from ..outgoing.fileset import file_name, file_of, meta_of, to_folder
from ..outgoing.outgoing import Outgoing, outgoing
from ..pixels.transcoding import read_file
from ..progress import reporter
from ..scanning.instances import instances as table_of
from ..writers.modules import MAKER
from ..writing.originals import target_of
from .remains import Remains

if TYPE_CHECKING:
    import pandas as pd

#: Name, its code (PS3.16 CID 7050), and the table of the library that has its actions.
_PROFILES = {"Basic Application Confidentiality Profile": ("113100", "dicomfields_2026c")}
_EDITION = "PS3.15 2026c, table E.1-1"
#: Whose content is text or a document: the profile puts a dummy for it, after which nothing is left of them.
_WORDS = ("ContentSequence", "EncapsulatedDocument")
#: Dummies of the library, and ours: its date is before those that most programs hold, its word says too much.
_DUMMIES = {"00010101": "19000101", "00010101010101.000000+0000": "19000101010101", "ANONYMIZED": "REMOVED"}


def deidentify(
    instances: Any,
    to: str | os.PathLike[str],
    *,
    profile: str = "Basic Application Confidentiality Profile",
    progress: Any = None,
) -> pd.DataFrame:
    """Copies of instances by a profile of PS3.15 annex E, without its options; there is no way back.

    The actions for each attribute are those of a package that is kept for it (extra ``deidentify``), applied to the
    data set and to each item of its sequences. UIDs are new and the same within one call, so instances that refer to
    each other are given together; dates become a dummy. DeidentificationMethod and its code name the profile.
    **Its options are not done: pixels are as they were**, burned-in text is not looked for, and what may be left is
    said. Reports and documents are refused.

    Parameters
    ----------
    instances
        An instances table, rows of one, paths or data sets.
    to
        A folder; its files are named by their new SOP Instance UID, and who may read them is as your system has it for
        new ones (umask).
    profile
        "Basic Application Confidentiality Profile"; others are not built.
    progress
        False, True, or a function of (done, total).

    Returns
    -------
    pandas.DataFrame
        The instances table of the copies. ``attrs["remarks"]`` says which private attributes were dropped, and what is
        still there; of this a warning tells too.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or there is no such profile; nothing was written.
    MissingCodec
        The package is not installed.
    BadFile
        An instance cannot be read; nothing was written.

    References
    ----------
    PS3.15 annex E
    """
    if profile not in _PROFILES:
        near = did_you_mean(str(profile), list(_PROFILES))
        raise InvalidRequest(
            f"there is no profile {profile!r}{near}", advice=f"There is {', '.join(map(repr, _PROFILES))}."
        )
    target = target_of(to)
    if target.form != "folder":
        raise InvalidRequest("deidentify writes to a folder", advice="Write that to a DICOMDIR or an archive after.")
    rules = _Rules(profile)
    rows = outgoing(instances)
    bar, left = reporter(progress, "deidentify", len(rows)), Remains()
    try:
        named: dict[str, Outgoing] = {}
        for one in rows:  # all of them once before the first is written
            uid = str(_changed(one, rules, left).SOPInstanceUID)
            if uid in named:
                raise InvalidRequest("an instance is there twice", advice="Choose one of them.")
            named[uid] = one
        pieces = [Piece(file_name(uid), partial(_file, one, rules)) for uid, one in named.items()]
        paths = to_folder(pieces, target.path, lambda size: bar.advance(1, size))
    finally:
        rules.forget()
        bar.close()
    dropped, stays = left.sentences()
    for said in stays:
        warnings.warn(said, ResultWarning, stacklevel=2)
    table = table_of(paths)
    table.attrs["remarks"] = [*dropped, *stays]
    return table


class _Rules:
    """The actions of a profile."""

    def __init__(self, profile: str) -> None:
        try:
            from dicomanonymizer import simpledicomanonymizer as library
        except ImportError:
            raise MissingCodec(
                f"the {profile} needs dicom-anonymizer", advice='Run: pip install "dicomlab[deidentify]"'
            ) from None
        self.profile, (self.code, table) = profile, _PROFILES[profile]
        self._library = library
        try:
            self._actions = library.initialize_actions(table)
            stars = library.delete_or_empty_or_replace_UID  # X/Z/U*: here the UIDs in the items are replaced
            self._actions = {tag: what for tag, what in self._actions.items() if what is not stars}
        except (ValueError, AttributeError, TypeError):
            raise MissingCodec(
                f"this dicom-anonymizer has no {_EDITION}", advice='Run: pip install -U "dicomlab[deidentify]"'
            ) from None
        self.forget()

    def forget(self) -> None:
        """The UIDs of one call are no other's to know."""
        self._library.dictionary.clear()

    def apply(self, dataset: Dataset) -> None:
        """Change a data set, and the items of the sequences that stay."""
        self._library.anonymize_dataset(dataset, base_rules_gen=lambda: self._actions)
        for element in list(dataset):
            if element.VR == "SQ":
                for item in element.value:
                    self.apply(item)
            elif str(element.value) in _DUMMIES:
                element.value = _DUMMIES[str(element.value)]


def _file(one: Outgoing, rules: _Rules) -> bytes:
    return file_of(_changed(one, rules, Remains()), one.transfer_syntax, one.transfer_syntax)


def _changed(one: Outgoing, rules: _Rules, left: Remains) -> Dataset:
    if one.trouble:
        raise BadFile(one.path, one.trouble)
    dataset = copy.deepcopy(one.dataset) if one.dataset is not None else read_file(one.path)
    for keyword in _WORDS:
        if keyword in dataset:
            raise InvalidRequest(
                f"{phi.path(one.path) or 'an instance'} is a report or document, of which the profile leaves nothing",
                advice="Leave it out: what names somebody there is for a person to find.",
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values of others are no news here
            left.private_of(dataset, kept=False)
            del dataset.file_meta
            rules.apply(dataset)
            left.look(dataset)
    except Exception as error:  # the library and pydicom raise what they meet
        raise BadFile(one.path, f"cannot be changed: {' '.join(str(error).split())}") from None
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [rules.profile, _EDITION, MAKER]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = rules.code, "DCM", rules.profile
    dataset.DeidentificationMethodCodeSequence = [code]
    dataset.file_meta = meta_of(dataset, one.transfer_syntax)
    return dataset
