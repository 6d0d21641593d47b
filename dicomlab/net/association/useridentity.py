"""Who asks, told to the peer as the association opens (PS3.7 D.3.3.7). Secrets are fetched when they are sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import InvalidRequest, did_you_mean
from .items import user_identity
from .secret import Secret

LIMIT = 1024  # bytes of a user name or passcode
TOKEN_LIMIT = 48 << 10  # bytes of a token: the roles of 128 contexts are in the same item of 64 KiB
KINDS = {"kerberos": 3, "saml": 4, "jwt": 5}
_WORDS = {"kerberos": "Kerberos ticket", "saml": "SAML assertion", "jwt": "JSON web token"}


@dataclass(frozen=True)
class UserIdentity:
    """A user name, with a passcode where one is asked for; or a token that proves who asks. `connect(..., user=...)`.

    Passcode and token come from a function or an environment variable; they are kept nowhere, and neither shown nor
    pickled: not in a message, a log, or the variables of a traceback. A token is sent as it is; what the peer answers
    to it is `Negotiated.user_response`. In nodes.toml it is a table ``user``.

    Examples
    --------
    >>> UserIdentity("anne", passcode_variable="PACS_PASSCODE")
    UserIdentity(name='anne', confirm=False, without_tls=False, kind='')
    >>> UserIdentity(kind="jwt", token=lambda: "eyJhbGciOi...", confirm=True)
    UserIdentity(name='', confirm=True, without_tls=False, kind='jwt')
    """

    name: str = ""  # the user name; "" where a token is sent
    passcode: Callable[[], str] | None = field(default=None, repr=False)  # gives it when it is sent
    passcode_variable: str = field(default="", repr=False)  # or name of the environment variable that holds it
    confirm: bool = False  # whether the peer must confirm it; one that does not is an error
    without_tls: bool = False  # whether the secret may go in clear over a connection without TLS
    kind: str = ""  # of the token: "kerberos", "saml" or "jwt"; "" is a user name
    token: Callable[[], bytes | str] | None = field(default=None, repr=False)  # gives it when it is sent
    token_variable: str = field(default="", repr=False)  # or name of the environment variable that holds it

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in ("", *KINDS):
            near = did_you_mean(str(self.kind), list(KINDS))
            raise InvalidRequest(f"kind={self.kind!r} is no kind of token{near}", advice=f"It is {', '.join(KINDS)}.")
        if self.kind and (self.name or self.passcode is not None or self.passcode_variable):
            raise InvalidRequest(
                f"a {_WORDS[self.kind]} says who asks: name and passcode are not given with it",
                advice='E.g. user=dl.UserIdentity(kind="jwt", token=get_token).',
            )
        if not self.kind and (self.token is not None or self.token_variable):
            raise InvalidRequest(
                "a token needs its kind", advice=f"kind= is one of {', '.join(map(repr, KINDS))}."
            )
        if self.kind and self.token is None and not self.token_variable:
            raise InvalidRequest(f"kind={self.kind!r} needs a token", advice="Give token=, a function that gives it.")
        if not self.kind and (not isinstance(self.name, str) or not 0 < len(self.name.encode()) <= LIMIT):
            raise InvalidRequest("a user identity takes a user name", advice='E.g. user=dl.UserIdentity("anne").')
        for secret in ("passcode", "token"):
            function = getattr(self, secret)
            self._check_source(secret, function, getattr(self, f"{secret}_variable"))
            if function is not None and function is not _gone:
                object.__setattr__(self, secret, Secret(function))

    @staticmethod
    def _check_source(secret: str, function: Any, variable: Any) -> None:
        if function is not None and not callable(function):
            raise InvalidRequest(
                f"{secret} takes a function that gives the {secret}, not the {secret}",
                advice=f"{secret}=getpass.getpass asks for it; {secret}_variable= names an environment variable.",
            )
        if not isinstance(variable, str) or (function is not None and variable):
            raise InvalidRequest(f"{secret}_variable takes the name of one variable, and {secret} is not given then")

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
        return cls(**value)

    @property
    def words(self) -> str:
        """Who asks, in words: "user 'anne'" or "JSON web token"."""
        return _WORDS[self.kind] if self.kind else f"user {self.name!r}"

    @property
    def secret(self) -> bool:
        """Whether there is a passcode or a token."""
        return bool(self.kind) or self.passcode is not None or bool(self.passcode_variable)

    def item(self, *, tls: bool) -> bytes:
        """The item for the A-ASSOCIATE-RQ, encoded; made anew each time and not kept.

        Raises
        ------
        InvalidRequest
            The passcode or token cannot be had, is too long, or would go in clear.
        """
        what = "token" if self.kind else "passcode"
        if self.secret and not tls and not self.without_tls:
            raise InvalidRequest(
                f"the {what} would go in clear: this connection has no TLS",
                advice="Connect with tls=, or allow it: dl.UserIdentity(..., without_tls=True).",
            )
        if self.kind:
            token = self._fetched(what, TOKEN_LIMIT)
            return user_identity(KINDS[self.kind], self.confirm, token, b"")
        if not self.secret:
            return user_identity(1, self.confirm, self.name.encode(), b"")
        passcode = self._fetched(what, LIMIT)
        return user_identity(2, self.confirm, self.name.encode(), passcode)

    def _fetched(self, what: str, limit: int) -> bytes:
        """The secret, from its source; nothing of it, or of its source, stays where a traceback shows it."""
        if getattr(self, what) is None:
            value: Any = os.environ.get(getattr(self, f"{what}_variable"))
            if not value:  # without its name: a user may have written the secret there
                raise InvalidRequest(
                    f"the environment variable named as {what}_variable is not set, or empty",
                    advice=f"{what}_variable= takes the name of a variable, never the {what}.",
                )
        else:
            why = "gave no text" if what == "passcode" else "gave neither bytes nor text"
            try:
                value = getattr(self, what)()
            except Exception as error:
                if self.token is _gone:
                    raise
                value, why = None, f"raised {type(error).__name__}"
            if not isinstance(value, str if what == "passcode" else (str, bytes)) or not value:
                del value
                raise InvalidRequest(f"the function that gives the {what} {why}", advice="Call it yourself to see why.")
        code = os.fsencode(value) if isinstance(value, str) else value
        size = len(code)
        if size > limit:
            del value, code
            raise InvalidRequest(
                f"the {what} has {size:,} bytes, at most {limit:,} can be sent",
                advice="Ask the PACS administrator for a shorter one.",
            )
        return code

    def __copy__(self) -> UserIdentity:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> UserIdentity:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A function that gives a secret may hold it: it is left out.
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return _rebuilt, ({**values, "passcode": None, "token": None},)


def _rebuilt(values: dict[str, Any]) -> UserIdentity:
    """Unpickle; a token's function is gone, and asking for the token says so."""
    if values["kind"] and not values["token_variable"]:
        values = {**values, "token": _gone}
    return UserIdentity(**values)


def _gone() -> bytes:
    raise InvalidRequest(
        "the function that gives the token was not pickled", advice="Connect here with user= and token= again."
    )
