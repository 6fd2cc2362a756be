from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from wsgw_core.api import Duration, HeaderName, HeaderValue, Options, PlainText, Size
from wsgw_core.api.options import duration_text, parse_duration, parse_size, size_text


class Sample(Options):
    ping_timeout: Duration = 5.0
    max_size: Size = 10
    strictly: Duration = Field(default=1.0, gt=0)


class Lists(Options):
    some_texts: tuple[str, ...] = ()
    numbers: list[int] | None = None
    times: tuple[Duration, ...] = ()
    either: str | tuple[str, ...] = ""
    sections: tuple[Sample, ...] = ()
    text: str = ""


class Names(Options):
    one: PlainText = "x"
    several: tuple[PlainText, ...] = ()


@pytest.mark.parametrize("text", ["a", "Ärger", "two words", "a,b"])
def test_plain_text_may_have_any_visible_character(text: str) -> None:
    assert Names.model_validate({"one": text, "several": [text]}).several == (text,)


@pytest.mark.parametrize("text", ["", "a\nb", "a\0b", "\x1b[31m", "a\u200bb", "\x85"])
def test_plain_text_is_neither_empty_nor_has_invisible_characters(text: str) -> None:
    for options in ({"one": text}, {"several": ["a", text]}):
        with pytest.raises(ValidationError, match=r"at least 1 character|invisible characters"):
            Names.model_validate(options)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("1h1m1s1ms", 3661.001),
        ("1500us", 1.5e-3),
        ("1500µs", 1.5e-3),
        ("5000000ns", 5e-3),
        (" 2s ", 2.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("10", 10.0),
        ("1.5", 1.5),
    ],
)
def test_durations_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    assert Sample.model_validate({"ping-timeout": text}).ping_timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "1_0", "s", "-1s", "1s-1s", "10 s", "1d", "1.s", ".5s", "1s\n2", "1e3s", True, "∞"]
)
def test_an_invalid_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="not a duration such as 10s"):
        parse_duration(text)


@pytest.mark.parametrize("value", ["999us", "1ns", "0.0009", 1e-9])
def test_a_duration_that_no_timer_can_keep_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="too short; the shortest duration is 1ms"):
        parse_duration(value)
    assert parse_duration("1ms") == 0.001


@given(st.integers(0, 1000), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(h: int, m: int, s: int, ms: int) -> None:
    assert parse_duration(f"{h}h{m}m{s}s{ms}ms") == pytest.approx(h * 3600 + m * 60 + s + ms / 1000)


@given(st.just(0.0) | st.floats(min_value=0.001, max_value=1e6))
def test_a_number_is_seconds(seconds: float) -> None:
    assert Sample(ping_timeout=seconds).ping_timeout == seconds


@pytest.mark.parametrize("value", [-1, -0.001, math.inf, math.nan, "9" * 400 + "h", None, [1]])
def test_a_duration_is_finite_and_not_negative(value: Any) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate({"ping-timeout": value})


@pytest.mark.parametrize("value", [10_000_000_000, "10000000000", "9" * 400, "9999999h"])
def test_a_number_of_nanoseconds_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="a number without a unit counts seconds"):
        Sample.model_validate({"ping-timeout": value})


def test_a_field_can_restrict_a_duration_further() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Sample.model_validate({"strictly": "0s"})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512", 512),
        ("512B", 512),
        ("64KiB", 65536),
        ("64Ki", 65536),
        ("64kib", 65536),
        ("64 KiB", 65536),
        ("1kB", 1000),
        ("1MB", 1_000_000),
        ("1.5MiB", 1_572_864),
        ("2G", 2_000_000_000),
        ("0", 0),
        ("1k\n", 1000),
        ("9007199254740993", 9007199254740993),
        ("9007199254740993kB", 9007199254740993000),
    ],
)
def test_sizes_are_written_as_people_write_them(text: str, count: int) -> None:
    assert parse_size(text) == count
    assert Sample.model_validate({"max-size": text}).max_size == count


@pytest.mark.parametrize(
    "text",
    [
        *("", "B", "-1", "1.5", "1.5B", "64iB", "64i", "1TB", "1 0", "1e3", "0x10", "1\n2", True),
        *("9" * 5000, "9" * 5000 + "kB", "0." + "9" * 5000 + "kB"),
    ],
)
def test_an_invalid_size_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="not a size such as 64KiB"):
        parse_size(text)


@given(st.integers(0, 10**30), st.sampled_from(["", "k", "K", "M", "G"]), st.booleans())
def test_prefixes_multiply_exactly(number: int, prefix: str, binary: bool) -> None:
    factor = (1024 if binary else 1000) ** ["", "k", "m", "g"].index(prefix.lower())
    unit = f"{prefix}iB" if binary and prefix else f"{prefix}B"
    assert parse_size(f"{number}{unit}") == number * factor


@given(st.text(max_size=20))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0


@pytest.mark.parametrize("value", [-1, 1.5, True, None, "9" * 5000])
def test_a_size_is_whole_and_not_negative(value: Any) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate({"max-size": value})


def test_keys_are_written_with_dashes_or_as_in_python() -> None:
    assert Sample.model_validate({"ping-timeout": 1}) == Sample(ping_timeout=1)


def test_unknown_keys_are_errors() -> None:
    with pytest.raises(ValidationError, match="ping-timout"):
        Sample.model_validate({"ping-timout": 1})


def test_options_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample().ping_timeout = 2.0  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("given_data", "meant"),
    [
        ({"some-texts": "a, b"}, Lists(some_texts=("a", "b"))),
        ({"some_texts": "a"}, Lists(some_texts=("a",))),
        ({"some-texts": " "}, Lists()),
        ({"some-texts": ["a,b"]}, Lists(some_texts=("a,b",))),
        ({"numbers": "1,2"}, Lists(numbers=[1, 2])),
        ({"numbers": None}, Lists()),
        ({"times": "1s,2m"}, Lists(times=(1.0, 120.0))),
        ({"either": "a,b"}, Lists(either="a,b")),
        ({"text": "a,b"}, Lists(text="a,b")),
    ],
)
def test_a_list_may_be_a_text_with_commas(given_data: dict[str, Any], meant: Lists) -> None:
    assert Lists.model_validate(given_data) == meant


@pytest.mark.parametrize("data", [{"sections": "a,b"}, {"numbers": "1,,2"}, {"numbers": 5}])
def test_a_text_for_another_type_is_not_split(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Lists.model_validate(data)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (30, "30s"),
        (90, "1m30s"),
        (3600, "1h"),
        (0.05, "50ms"),
        (1.5, "1.5s"),
        (1e-7, 1e-7),
    ],
)
def test_durations_are_shown_as_people_write_them(seconds: float, text: str | float) -> None:
    assert duration_text(seconds) == text


@given(st.just(0.0) | st.floats(min_value=0.001, max_value=1e9))
def test_a_duration_is_shown_exactly(seconds: float) -> None:
    assert parse_duration(duration_text(seconds)) == seconds


@given(st.integers(0, 2**40), st.sampled_from([1, 1024, 1024**2, 1024**3]))
def test_a_size_is_shown_exactly(number: int, factor: int) -> None:
    assert parse_size(size_text(number * factor)) == number * factor


class Forwarding(Options):
    header: HeaderName


@pytest.mark.parametrize("name", ["X-Token", "x", "!#$%&'*+-.^_`|~09"])
def test_a_header_name_is_a_token(name: str) -> None:
    assert Forwarding(header=name).header == name


@pytest.mark.parametrize("name", ["", "X Token", "X-Token:", "X-Token\n", "Größe", "a\0"])
def test_an_invalid_header_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="header"):
        Forwarding(header=name)


class Fixed(Options):
    value: HeaderValue


@pytest.mark.parametrize("value", ["x", "a b", "a\tb", "~!"])
def test_a_header_value_is_printable(value: str) -> None:
    assert Fixed(value=value).value == value


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nX: b", "ü", "a\0"])
def test_an_invalid_header_value_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="value"):
        Fixed(value=value)
