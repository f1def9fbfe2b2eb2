"""Where a gallery on a PostgreSQL server is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A libpq connection URI. As text, and in every message, its password is hidden; ``secret`` is the whole.

    What stands before the last ``@`` is taken for a user and a password, whatever signs are in it: rather too much is
    hidden than too little.

    Source: PostgreSQL manual, 32.1.1.2 Connection URIs: several hosts, and parameters after the question mark.
    """

    secret: str

    @staticmethod
    def fits(text: str) -> bool:
        """Whether a setting's text is such an address rather than a path."""
        return text.startswith(SCHEMES)

    def __str__(self) -> str:
        scheme, _, rest = self.secret.partition("://")
        user, at, place = rest.rpartition("@")
        if ":" in user:
            user = user.partition(":")[0] + ":***"
        place = _SECRETS.sub(r"\1***", place)
        return f"{scheme}://{user}{at}{place}"

    def __repr__(self) -> str:
        return f"ServerUrl({str(self)!r})"

    def hidden_in(self, message: str) -> str:
        """A message of the server or its library without the password, should it be in there."""
        before, _, place = self.secret.partition("://")[2].rpartition("@")
        given = [before.partition(":")[2], *(value for _, value in _SECRETS.findall(place))]
        for password in {form for text in given for form in (text, unquote(text)) if form}:
            message = message.replace(password, "***")
        return message


_SECRETS = re.compile(r"((?:^|[?&])(?:ssl)?password=)([^&]*)")
