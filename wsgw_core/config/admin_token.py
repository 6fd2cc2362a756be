"""The tokens of operators and their programs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from ..api import Options
from .names import Name

Role = Literal["read", "operate", "send"]

_SHORTEST_TOKEN = 16


class AdminToken(Options):
    """A token and its roles: sent as `Authorization: Bearer TOKEN`."""

    name: Name = Field(description="name of the token in the audit log")
    token: SecretStr = Field(
        description=f"the secret, at least {_SHORTEST_TOKEN} printable ASCII characters without"
        " spaces; `token-file` names a file that holds it"
    )
    roles: tuple[Role, ...] = Field(
        min_length=1,
        description="what its bearer may do: `read` gets lists and configurations; `operate` allows"
        " reading and every action except sending; `send` sends messages to clients",
    )

    @field_validator("token")
    @classmethod
    def _is_sendable(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value()
        if len(text) < _SHORTEST_TOKEN or not all("!" <= char <= "~" for char in text):
            raise ValueError(
                f"at least {_SHORTEST_TOKEN} printable ASCII characters without spaces"
            )
        return token
