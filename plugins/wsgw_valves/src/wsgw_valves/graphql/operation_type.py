"""Finds out whether a GraphQL document is a query, mutation or subscription."""

from __future__ import annotations

import re
from itertools import islice
from typing import Literal

OperationType = Literal["query", "mutation", "subscription"]

# The tokens that are read; all take one turn of the event loop.
_MOST_TOKENS = 50_000
# Strings need not end, so that a match never restarts and the time is linear.
_TOKEN = re.compile(
    r"""
      \#[^\r\n]*+
    | \"{3} (?: [^"\\]++ | \\"{3} | \\ | "(?!"") )*+ (?: \"{3} )?
    | " (?: [^"\\\r\n]++ | \\. )*+ "?
    | (?P<open> [{(\[] )
    | (?P<close> [})\]] )
    | (?P<name> @?[_A-Za-z][_0-9A-Za-z]*+ )
    """,
    re.VERBOSE,
)
_TYPES: dict[str, OperationType] = {
    "query": "query",
    "mutation": "mutation",
    "subscription": "subscription",
}


def operation_type(document: str, name: str | None) -> OperationType | None:
    """Returns the type of an operation; None if the document has no such operation.

    It needs no parser, because a definition begins with a word outside of all brackets. It does not
    find an operation after 50,000 words and brackets.

    Args:
        document: any text.
        name: of the operation; None: the first one.
    """
    depth = 0
    is_inside = False  # a definition
    type_: OperationType | None = None  # of a definition whose name follows
    for token in islice(_TOKEN.finditer(document), _MOST_TOKENS):
        group = token.lastgroup
        if group == "close":
            depth = max(0, depth - 1)
            is_inside = is_inside and (depth > 0 or token[0] != "}")
        elif group == "open":
            if name is None and not is_inside and token[0] == "{":
                return "query"
            depth += 1
            is_inside = True
        elif group == "name" and type_ is not None and token[0] == name:
            return type_
        elif group == "name" and not is_inside:
            is_inside, type_ = True, _TYPES.get(token[0])
            if type_ is not None and name is None:
                return type_
            continue
        if group is not None:
            type_ = None
    return None
