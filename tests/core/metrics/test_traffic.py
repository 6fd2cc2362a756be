"""Messages are counted by size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsgw_core.api import Histogram
from wsgw_core.metrics.traffic import Sizes

BOUNDS = (128, 256, 512, 1024, 2048, 5120, 65_536, 131_072, 1_048_576, 2**40)


def count(sizes: Sizes, size: int) -> None:
    """Do what the relay does in place."""
    try:
        sizes.counts[size + 127 >> 7] += 1
    except IndexError:
        sizes.add_large(size)


@given(st.lists(st.integers(0, 2**40) | st.sampled_from([b + d for b in BOUNDS for d in (-1, 0)])))
def test_each_bound_counts_messages_up_to_its_size(lengths: list[int]) -> None:
    sizes = Sizes()
    for length in lengths:
        count(sizes, length)
    assert sizes.messages == len(lengths)
    assert [*map(sizes.up_to, BOUNDS)] == [
        sum(each <= bound for each in lengths) for bound in BOUNDS
    ]


def test_traffic_of_backends_is_added() -> None:
    one, other = Sizes(), Sizes()
    for sizes in (one, other, other):
        for length in (0, 100, 70_000):
            count(sizes, length)
    one.bytes, other.bytes = 1, 2
    one.add(other)
    assert (one.messages, one.bytes) == (9, 3)
    assert (one.up_to(128), one.up_to(131_072)) == (6, 9)


def test_durations_are_counted_in_buckets() -> None:
    histogram = Histogram((1.0, 2.0))
    for number in (0.0, 1.0, 1.1, 2.0, 99.0):
        histogram.observe(number)
    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 103.1
