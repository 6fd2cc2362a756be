"""Reads schemas."""

from __future__ import annotations

import json

from jsonschema_rs import RegexOptions, ValidationError, Validator, validator_for

MOST_BYTES = 1024 * 1024
_LONGEST = 200  # characters of an error


def read_schema(text: str) -> Validator:
    """Returns the validator for a schema. It reads no other file and fetches nothing.

    The time of patterns is linear in the size of the text, so look-around and back-references are
    errors.

    Args:
        text: a JSON Schema; `$schema` selects the draft; default: 2020-12.

    Raises:
        ValueError: the text is not a JSON Schema, or refers to another document.
    """
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}"[:_LONGEST]) from None
    if not isinstance(schema, (dict, bool)):
        raise ValueError("is not a JSON Schema: it must be an object")
    try:
        return validator_for(schema, pattern_options=RegexOptions(), offline=True)
    except ValidationError as error:
        where = "/".join(map(str, error.instance_path))
        found = error.message.partition("\n")[0][:_LONGEST]
        raise ValueError(f"is not a JSON Schema: {where}{': ' if where else ''}{found}") from None
    except ValueError as error:
        raise ValueError(f"is not a JSON Schema: {error}"[:_LONGEST]) from None
