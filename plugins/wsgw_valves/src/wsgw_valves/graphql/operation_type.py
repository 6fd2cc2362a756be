"""Finds out whether a GraphQL document asks, changes or subscribes."""

from __future__ import annotations

import re
from typing import Literal

OperationType = Literal["query", "mutation", "subscription"]

# Strings need not end, so that a match never begins anew: time in proportion to the text.
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
    """Return what an operation does; None if the document has no such operation.

    Needs no parser: what a document defines begins with a word outside of all brackets.

    Args:
        document: may be anything.
        name: of the operation; None: the first one.
    """
    depth = 0
    is_inside = False  # a definition
    type_: OperationType | None = None  # of one whose name is still to come
    for token in _TOKEN.finditer(document):
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
