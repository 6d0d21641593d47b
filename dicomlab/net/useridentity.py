"""Who asks, told to the peer as the association opens (PS3.7 D.3.3.7). The passcode is fetched when it is sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import InvalidRequest, did_you_mean

LIMIT = 1024  # bytes of a user name or passcode


@dataclass(frozen=True)
class UserIdentity:
    """A user name, and a passcode where one is asked for; `connect(..., user=...)`, or a table in nodes.toml.

    The passcode comes from a function or an environment variable; it is kept nowhere, and neither shown nor pickled.

    Examples
    --------
    >>> UserIdentity("anne", passcode_variable="PACS_PASSCODE")
    UserIdentity(name='anne', confirm=False, without_tls=False)
    """

    name: str  # the user name
    passcode: Callable[[], str] | None = field(default=None, repr=False)  # gives it when it is sent
    passcode_variable: str = field(default="", repr=False)  # or name of the environment variable that holds it
    confirm: bool = False  # whether the peer must confirm it; one that does not is an error
    without_tls: bool = False  # whether the passcode may go in clear over a connection without TLS

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name.encode()) <= LIMIT:
            raise InvalidRequest("a user identity takes a user name", advice='E.g. user=dl.UserIdentity("anne").')
        if self.passcode is not None and not callable(self.passcode):
            raise InvalidRequest(
                "passcode takes a function that gives the passcode, not the passcode",
                advice="passcode=getpass.getpass asks for it; passcode_variable= names an environment variable.",
            )
        if not isinstance(self.passcode_variable, str) or (self.passcode is not None and self.passcode_variable):
            raise InvalidRequest("passcode_variable takes the name of one variable, and passcode is not given then")

    @classmethod
    def of(cls, value: Any) -> UserIdentity | None:
        """A user identity from itself, a user name or a dict of its fields; None from None and False."""
        if value is None or value is False:
            return None
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, dict):
            raise InvalidRequest(f"user takes a user name or dicomlab.UserIdentity, not {type(value).__name__}")
        known = [item.name for item in fields(cls)]
        for key in value:
            if key not in known:
                raise InvalidRequest(
                    f"user has no {key!r}{did_you_mean(str(key), known)}", advice=f"It has {', '.join(known)}."
                )
        return cls(**{"name": "", **value})

    @property
    def secret(self) -> bool:
        """Whether there is a passcode."""
        return self.passcode is not None or bool(self.passcode_variable)

    def item(self, *, tls: bool) -> Any:
        """The item for the A-ASSOCIATE-RQ, as pynetdicom's primitive; made anew each time and not kept.

        Raises
        ------
        InvalidRequest
            The passcode cannot be had, or would go in clear.
        """
        from pynetdicom.pdu_primitives import UserIdentityNegotiation

        if self.secret and not tls and not self.without_tls:
            raise InvalidRequest(
                "the passcode would go in clear: this connection has no TLS",
                advice="Connect with tls=, or allow it: dl.UserIdentity(..., without_tls=True).",
            )
        made = UserIdentityNegotiation()
        made.user_identity_type = 2 if self.secret else 1
        made.positive_response_requested = self.confirm
        made.primary_field = self.name.encode()
        made.secondary_field = self._passcode() if self.secret else b""
        return made

    def _passcode(self) -> bytes:
        if self.passcode is None:
            code: Any = os.environ.get(self.passcode_variable)
            if not code:  # without its name: a user may have written the passcode there
                raise InvalidRequest(
                    "the environment variable named as passcode_variable is not set, or empty",
                    advice="passcode_variable= takes the name of a variable, never the passcode.",
                )
            return code.encode()
        why = "gave no text"
        try:
            code = self.passcode()
        except Exception as error:
            code, why = None, f"raised {type(error).__name__}"
        if not isinstance(code, str) or not code:
            raise InvalidRequest(f"the function that gives the passcode {why}", advice="Call it yourself to see why.")
        return code.encode()

    def __copy__(self) -> UserIdentity:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> UserIdentity:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A function that gives a passcode may hold it: it is left out.
        return UserIdentity, (self.name, None, self.passcode_variable, self.confirm, self.without_tls)
