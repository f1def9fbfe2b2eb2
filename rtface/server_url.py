"""Where a gallery on a PostgreSQL server is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A libpq connection URI. As text, and in every message, its password is hidden; ``secret`` is the whole.

    Source: PostgreSQL manual, 32.1.1.2 Connection URIs: several hosts, and parameters after the question mark.
    """

    secret: str

    @staticmethod
    def fits(text: str) -> bool:
        """Whether a setting's text is such an address rather than a path."""
        return text.startswith(SCHEMES)

    def __str__(self) -> str:
        scheme, _, rest = self.secret.partition("://")
        authority, slash, path = _parted(rest)
        user, at, hosts = authority.rpartition("@")
        if ":" in user:
            user = user.partition(":")[0] + ":***"
        path = _SECRETS.sub(r"\1***", path)
        return f"{scheme}://{user}{at}{hosts}{slash}{path}"

    def __repr__(self) -> str:
        return f"ServerUrl({str(self)!r})"

    def hidden_in(self, message: str) -> str:
        """A message of the server or its library without the password, should it be in there."""
        authority, _, path = _parted(self.secret.partition("://")[2])
        given = [authority.rpartition("@")[0].partition(":")[2], *_SECRET_VALUES.findall(path)]
        for password in {form for text in given for form in (text, unquote(text)) if form}:
            message = message.replace(password, "***")
        return message


_SECRETS = re.compile(r"((?:^|[?&])(?:ssl)?password=)[^&]*")
_SECRET_VALUES = re.compile(r"[?&](?:ssl)?password=([^&]*)")


def _parted(rest: str) -> tuple[str, str, str]:
    """User and hosts; the sign after them; database and parameters. A password may hold any sign but ``@``."""
    at = rest.rfind("@", 0, _end_of_path(rest))
    found = re.search(r"[/?]", rest[at + 1 :])
    end = len(rest) if found is None else at + 1 + found.start()
    if end < len(rest) and rest[end] == "?":
        return rest[:end], "", rest[end:]
    return rest[:end], rest[end : end + 1], rest[end + 1 :]


def _end_of_path(rest: str) -> int:
    """Where parameters begin: an ``@`` in their values parts nothing."""
    found = re.search(r"\?[a-z_]+=", rest)
    return len(rest) if found is None else found.start()
