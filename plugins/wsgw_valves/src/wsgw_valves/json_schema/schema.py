"""Reads schemas."""

from __future__ import annotations

import json

from jsonschema_rs import RegexOptions, ValidationError, Validator, validator_for

MOST_BYTES = 1024 * 1024
_LONGEST = 200  # characters of an error


def read_schema(text: str) -> Validator:
    """Return what checks messages; no other file is read, and nothing is fetched.

    Patterns take time in proportion to the text, so look-around and references back are errors.

    Args:
        text: a JSON Schema; `$schema` says of which draft, 2020-12 by default.

    Raises:
        ValueError: it is none, or refers to something else.
    """
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}"[:_LONGEST]) from None
    if not isinstance(schema, (dict, bool)):
        raise ValueError("is no JSON Schema, which is an object")
    try:
        return validator_for(schema, pattern_options=RegexOptions(), offline=True)
    except ValidationError as error:
        where = "/".join(map(str, error.instance_path))
        found = error.message.partition("\n")[0][:_LONGEST]
        raise ValueError(f"is no JSON Schema: {where}{': ' if where else ''}{found}") from None
    except ValueError as error:
        raise ValueError(f"is no JSON Schema: {error}"[:_LONGEST]) from None
