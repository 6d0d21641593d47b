"""Ask a PACS a question in a notebook cell and get a DataFrame; hand rows of it back and get labelled volumes.

Research use; not a medical device, not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from . import progress as _progress
from .options import options
from .volume import DicomAccessor as _DicomAccessor  # registers the accessor .dicom  # noqa: F401

if TYPE_CHECKING:
    from .cache import Cache
    from .cohort.applying import apply
    from .deidentification import deidentify
    from .demo import demo_pacs
    from .filming import film
    from .folder import open_folder
    from .modification import modify
    from .net.addressbook import nodes
    from .net.connecting import connect, diagnose
    from .net.node import Node
    from .net.peer import Peer
    from .net.tls import TLS
    from .net.useridentity import UserIdentity
    from .pseudonymisation import pseudonymise
    from .readtable import read_table
    from .scanning import scan
    from .series import load, load_all
    from .widgets.browser import browse
    from .widgets.form import Form
    from .widgets.picker import pick
    from .widgets.viewing import view
    from .widgets.worklistpicker import worklist
    from .writing import write

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
    "Cache": ".cache",
    "Form": ".widgets.form",
    "Node": ".net.node",
    "Peer": ".net.peer",
    "TLS": ".net.tls",
    "UserIdentity": ".net.useridentity",
    "apply": ".cohort.applying",
    "browse": ".widgets.browser",
    "connect": ".net.connecting",
    "deidentify": ".deidentification",
    "demo_pacs": ".demo",
    "diagnose": ".net.connecting",
    "film": ".filming",
    "load": ".series",
    "load_all": ".series",
    "modify": ".modification",
    "nodes": ".net.addressbook",
    "open_folder": ".folder",
    "pick": ".widgets.picker",
    "pseudonymise": ".pseudonymisation",
    "read_table": ".readtable",
    "scan": ".scanning",
    "view": ".widgets.viewing",
    "worklist": ".widgets.worklistpicker",
    "write": ".writing",
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
