"""Limits of the dead letters that wait for Redis."""

from __future__ import annotations

from typing import Any

import pytest
from wsgw_redis.dead_letters import INVALID, DeadLetters
from wsgw_redis.metrics import RedisMetrics
from wsgw_redis.settings import RedisSettings

from wsgw_core.testing.context import make_context

MIB = 1024 * 1024


@pytest.fixture
async def metrics() -> RedisMetrics:
    return RedisMetrics(make_context())


def letters(metrics: RedisMetrics, **keys: Any) -> DeadLetters:
    settings = RedisSettings.model_validate({"url": "redis://h", **keys})
    return DeadLetters(settings, "queue", metrics, MIB)


def size_of(command: tuple[Any, ...]) -> int:
    return sum(len(part) for part in command if isinstance(part, bytes))


async def test_oldest_letters_are_dropped_above_byte_limit(metrics: RedisMetrics) -> None:
    waiting = letters(metrics)
    for number in range(100):
        waiting.add((b"%d-0" % number, [b"data", b"x" * (MIB // 2)]), INVALID)
    assert 16 <= len(waiting) <= 32
    assert metrics.letters_lost.value == 100 - len(waiting)
    assert waiting.commands()[0][-1] == b"%d-0" % (100 - len(waiting))


async def test_oldest_letters_are_dropped_above_count_limit(metrics: RedisMetrics) -> None:
    waiting = letters(metrics, **{"dead-letters-length": 5})
    for number in range(7):
        waiting.add((b"%d-0" % number, [b"data", b"x"]), INVALID)
    assert [command[-1] for command in waiting.commands()] == [b"%d-0" % n for n in range(2, 7)]
    assert metrics.letters_lost.value == 2


async def test_one_write_has_at_most_a_mebibyte_or_one_letter(metrics: RedisMetrics) -> None:
    waiting = letters(metrics)
    for size in (MIB, MIB // 3, MIB // 3, MIB // 2):
        waiting.add((b"1-0", [b"data", b"x" * size]), INVALID)
    for count in (1, 2, 1):
        assert len(waiting.commands()) == count
        waiting.stored(count)
    assert waiting.commands() == []


async def test_oversized_entry_is_cut_in_its_letter(metrics: RedisMetrics) -> None:
    waiting = letters(metrics)
    waiting.add((b"1-0", [b"a", b"x" * (3 * MIB), b"b", b"y"]), INVALID)
    (command,) = waiting.commands()
    assert size_of(command) <= MIB + 100
    assert command[6:10] == (b"a", b"x" * (MIB - 1), b"", b"")
