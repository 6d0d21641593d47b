"""The embedded PACS, for notebooks and tests (SCP side, pynetdicom's acceptor)."""

from __future__ import annotations

from .holdings import Holdings
from .manners import Manners
from .server import DemoServer, Request

__all__ = ["DemoServer", "Holdings", "Manners", "Request"]
