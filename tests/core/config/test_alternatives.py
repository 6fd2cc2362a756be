"""Problems of options whose values have one of several types."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError

from wsgw_core.api import Options
from wsgw_core.config.problems import validation_errors


class Item(Options):
    declare: bool | Literal["passive"] | None = None
    password: bool | Literal["none"] = False
    numbers: str | tuple[int, ...] = ""


class Section(Item):
    items: tuple[Item, ...] = ()
    choices: tuple[bool | Literal["any"], ...] = ()


HUSH: dict[str, Any] = {"password": "hush"}


def problems(**values: Any) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        Section.model_validate(values)
    return validation_errors(caught.value, Section)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"declare": "always"}, ("declare",)),
        ({"items": [{}, {"declare": "always"}]}, ("items", 1, "declare")),
    ],
)
def test_alternatives_are_one_problem_of_the_key(
    values: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    assert problems(**values) == [(path, "found 'always', allowed: true or false or 'passive'")]


def test_each_invalid_item_is_one_problem() -> None:
    assert problems(choices=[True, "all", "any", "none"]) == [
        (("choices", 1), "found 'all', allowed: true or false or 'any'"),
        (("choices", 3), "found 'none', allowed: true or false or 'any'"),
    ]


def test_item_of_an_alternative_has_its_index() -> None:
    assert problems(numbers=[1, "x"]) == [
        (("numbers",), "found [1, 'x'], allowed: text (put it in quotes)"),
        (("numbers", 1), "found 'x', allowed: a whole number"),
    ]


def test_secret_with_alternatives_is_not_shown() -> None:
    for path, text in problems(**HUSH, items=[HUSH]):
        assert path[-1] == "password"
        assert "hush" not in text
