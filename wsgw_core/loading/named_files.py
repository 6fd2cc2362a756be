"""Finds the keys whose values name files, in unchecked data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ..api.options import FILE_NAME
from ..config.problems import KeyPath, known_keys
from ..config.secrets import names_secret_file


def named_files(data: Any, annotation: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yields the key path of each value that names a file.

    Args:
        data: plain data for a type.
        annotation: the type: an options model or the type of a field.
        path: the key path of the data.
    """
    if data is None:
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if FILE_NAME in inner[1:]:
            yield path
        else:
            yield from named_files(data, inner[0], path)
    elif origin in (Union, UnionType):
        yield from dict.fromkeys(found for one in inner for found in named_files(data, one, path))
    elif isinstance(data, dict) and _is_model(annotation):
        yield from _in_model(data, annotation, path)
    elif inner:  # a list, or a mapping by any keys
        yield from dict.fromkeys(
            found
            for key, item in _items(data)
            for one in inner
            for found in named_files(item, one, (*path, key))
        )
    elif isinstance(annotation, type) and issubclass(annotation, os.PathLike):
        yield path


def _in_model(data: dict[str, Any], model: type[BaseModel], path: KeyPath) -> Iterator[KeyPath]:
    known = known_keys(model)
    for key, value in data.items():
        dashed = key.replace("_", "-")
        if dashed in known:
            field = model.model_fields[known[dashed]]
            if FILE_NAME in field.metadata and value is not None:
                yield (*path, dashed)
            else:
                yield from named_files(value, field.annotation, (*path, dashed))
        elif names_secret_file(model, dashed):
            yield (*path, dashed)


def _items(data: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(data, dict):
        return data.items()
    return enumerate(data if isinstance(data, list) else [data])  # `a,b` stands for a list


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
