"""Ask a PACS a question in a notebook cell and get a DataFrame; hand rows of it back and get labelled volumes.

Research use; not a medical device, not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from . import progress as _progress
from .options import options
from .volumes.volume import DicomAccessor as _DicomAccessor  # registers the accessor .dicom  # noqa: F401

if TYPE_CHECKING:
    from .cache.cache import Cache
    from .cache.folder import open_folder
    from .cohort.applying import apply
    from .demo import demo_pacs
    from .net.association.addressbook import nodes
    from .net.association.node import Node
    from .net.association.tls import TLS
    from .net.association.useridentity import UserIdentity
    from .net.connecting import connect, diagnose
    from .net.peer import Peer
    from .privacy.deidentification import deidentify
    from .privacy.pseudonymisation import pseudonymise
    from .rendering.filming import film
    from .scanning.scanning import scan
    from .tables.readtable import read_table
    from .volumes.series import load, load_all
    from .widgets.browser import browse
    from .widgets.form import Form
    from .widgets.picker import pick
    from .widgets.viewing import view
    from .widgets.worklistpicker import worklist
    from .writing.modification import modify
    from .writing.writing import write

__version__ = "0.1.0rc1"

__all__ = [  # noqa: RUF022 (in the order of their letters)
    "Cache",
    "Form",
    "Node",
    "Peer",
    "TLS",
    "UserIdentity",
    "apply",
    "browse",
    "connect",
    "deidentify",
    "demo_pacs",
    "diagnose",
    "errors",
    "film",
    "load",
    "load_all",
    "modify",
    "nodes",
    "open_folder",
    "options",
    "pick",
    "pseudonymise",
    "read_table",
    "scan",
    "view",
    "worklist",
    "write",
]

#: Where each name lives; the module is imported when the name is first used.
_HOMES = {
    "Cache": ".cache.cache",
    "Form": ".widgets.form",
    "Node": ".net.association.node",
    "Peer": ".net.peer",
    "TLS": ".net.association.tls",
    "UserIdentity": ".net.association.useridentity",
    "apply": ".cohort.applying",
    "browse": ".widgets.browser",
    "connect": ".net.connecting",
    "deidentify": ".privacy.deidentification",
    "demo_pacs": ".demo",
    "diagnose": ".net.connecting",
    "film": ".rendering.filming",
    "load": ".volumes.series",
    "load_all": ".volumes.series",
    "modify": ".writing.modification",
    "nodes": ".net.association.addressbook",
    "open_folder": ".cache.folder",
    "pick": ".widgets.picker",
    "pseudonymise": ".privacy.pseudonymisation",
    "read_table": ".tables.readtable",
    "scan": ".scanning.scanning",
    "view": ".widgets.viewing",
    "worklist": ".widgets.worklistpicker",
    "write": ".writing.writing",
}


def _job_view(job: Any) -> Any:
    """The widget of a job; what it needs is imported when the first is shown."""
    return import_module(".widgets.jobview", __name__).JobView(job)


_progress.widget_of = _job_view


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'dicomlab' has no attribute {name!r}{errors.did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
