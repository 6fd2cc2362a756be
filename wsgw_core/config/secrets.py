"""Reads secrets from files: for each secret key there is a key with the suffix `-file`.

`password-file: /run/secrets/password` gives the value of `password`. A model that defines such a
key itself reads the file itself.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from ..api.bounded_file import read_bytes
from ..api.options import size_text
from ..masking import is_secret_key
from .problems import KeyPath, Origins, found_text, item_type, known_keys, model_in

_SUFFIX = "-file"
_MAX_SECRET = 64 * 1024


def with_secrets(
    data: Any, annotation: Any, origins: Origins, path: KeyPath = ()
) -> tuple[Any, list[str]]:
    """Returns the data with secrets read from files, and the problems of these files.

    Args:
        data: unchecked plain data for a model; it is not changed.
        annotation: the model, or a type that contains models.
        origins: the origins of the data; the files are recorded there.
        path: the key path of the data.
    """
    problems: list[str] = []
    result = data
    if isinstance(data, list) and model_in(item_type(annotation)) is not None:
        items = [
            with_secrets(item, item_type(annotation), origins, (*path, number))
            for number, item in enumerate(data)
        ]
        result = [item for item, _ in items]
        problems += [problem for _, inner in items for problem in inner]
    elif isinstance(data, dict) and (model := model_in(annotation)) is not None:
        known = known_keys(model)
        result = {}
        for key, value in data.items():
            dashed = key.replace("_", "-")
            secret = dashed.removesuffix(_SUFFIX)
            if dashed in known:
                inner_type = model.model_fields[known[dashed]].annotation
                result[key], inner = with_secrets(value, inner_type, origins, (*path, key))
                problems += inner
            elif not names_secret_file(model, dashed):
                result[key] = value
            elif secret in data or secret.replace("-", "_") in data:
                problems.append(origins.problem((*path, dashed), f"is also given as {secret!r}"))
            else:
                try:
                    result[secret] = _read(value)
                    origins.given_by_file((*path, secret), value)
                except ValueError as error:
                    text = " ".join(str(error).split())  # the name of a file may contain newlines
                    problems.append(origins.problem((*path, dashed), text))
    return result, problems


def names_secret_file(model: type[BaseModel], key: str) -> bool:
    """Returns whether a key (with dashes) names the file of one of the model's secrets."""
    return key.endswith(_SUFFIX) and key.removesuffix(_SUFFIX) in secret_keys(model)


def secret_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Returns the keys of a model whose values can be read from a file."""
    known = known_keys(model)
    return tuple(
        key
        for key, name in known.items()
        if f"{key}{_SUFFIX}" not in known and _is_secret(key, model.model_fields[name])
    )


def _is_secret(key: str, field: FieldInfo) -> bool:
    types = (field.annotation, *get_args(field.annotation))
    # A URL can contain a password.
    return key == "url" or is_secret_key(key) or SecretStr in types or SecretBytes in types


def _read(file: Any) -> str:
    if not isinstance(file, str) or not file:
        raise ValueError(f"found {found_text(file)}, allowed: the name of a file")
    try:
        raw = read_bytes(file, _MAX_SECRET, pipes=True)
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{file}: cannot be read: {reason}") from error
    if len(raw) > _MAX_SECRET:
        raise ValueError(f"{file}: larger than {size_text(_MAX_SECRET)}")
    if not text:
        raise ValueError(f"{file}: is empty")
    return text
