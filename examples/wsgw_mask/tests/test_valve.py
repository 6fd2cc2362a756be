"""The valve in a session in memory."""

from __future__ import annotations

import time

import pytest
from wsgw_mask import plugin

from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench

VISA = "4111111111111111"


def bench_of(**options: object) -> ValveBench:
    return ValveBench.of(plugin, "mask", options)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (VISA, "************1111"),
        ("card 4111 1111 1111 1111, 12/27", "card ************1111, 12/27"),
        ("3782-822463-10005", "***********0005"),
        ('{"pan": 5555555555554444, "cvc": 123}', '{"pan": ************4444, "cvc": 123}'),
        (f"{VISA} and {VISA}", "************1111 and ************1111"),
        ("4111111111111112", "4111111111111112"),  # wrong check digit: another kind of number
        ("41111111111111111111111", "41111111111111111111111"),  # too long
        ("4111 1111", "4111 1111"),
        ("grüße", "grüße"),
    ],
)
async def test_card_numbers_are_masked_and_others_are_not(said: str, heard: str) -> None:
    async with bench_of() as bench:
        assert await bench.to_backend(said) == [heard]
        assert await bench.to_client(said) == [heard]


async def test_binary_messages_pass() -> None:
    async with bench_of() as bench:
        assert await bench.to_backend(VISA.encode()) == [VISA.encode()]


async def test_options_select_kept_digits_mark_and_direction() -> None:
    async with bench_of(keep=0, mark="x", directions="to-client") as bench:
        assert await bench.to_backend(VISA) == [VISA]
        assert await bench.to_client(VISA) == ["x" * 16]


async def test_masked_numbers_are_counted_by_their_network() -> None:
    async with bench_of() as bench:
        await bench.to_backend(VISA, VISA, "nothing")
        await bench.to_client("6011111111111117")
        assert samples(bench.context.metrics) == {
            'wsgw_mask_masked_total{network="visa"}': 2,
            'wsgw_mask_masked_total{network="other"}': 1,
        }


async def test_masking_goes_on_after_a_failover() -> None:
    async with bench_of() as bench:
        await bench.fail_over()
        assert await bench.to_backend(VISA) == ["************1111"]


@pytest.mark.parametrize(
    "text", ["4111 " * 50_000, "1" * 250_000, "1-" * 125_000, "1 1111" * 40_000]
)
async def test_hostile_message_is_masked_fast(text: str) -> None:
    async with bench_of() as bench:
        begin = time.thread_time()
        [heard] = await bench.to_backend(text)
        assert time.thread_time() - begin < 2
        assert len(heard) <= len(text)
