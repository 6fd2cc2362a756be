"""Options that are written as one text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from wsgw_core.api import Options, TextOption


class Colour(TextOption):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        if text not in ("red", "blue"):
            raise ValueError("no colour")


class Paint(Options):
    colour: Colour = Colour("red")
    others: tuple[Colour, ...] = ()


def test_a_text_is_read_and_written() -> None:
    paint = Paint.model_validate({"colour": "blue", "others": "red, blue"})
    assert [str(each) for each in paint.others] == ["red", "blue"]
    assert paint.model_dump(mode="json") == {"colour": "blue", "others": ["red", "blue"]}
    assert Paint.model_json_schema()["properties"]["colour"]["type"] == "string"


def test_equal_texts_are_equal_options() -> None:
    class Other(Colour):
        pass

    assert Paint.model_validate({"colour": "red"}) == Paint()
    assert hash(Colour("red")) == hash(Colour("red"))
    assert Colour("red") != Colour("blue")
    assert Colour("red") != Other("red")


@pytest.mark.parametrize("value", ["green", "", 7, None, ["red"]])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"no colour|not a text"):
        Paint.model_validate({"colour": value})
