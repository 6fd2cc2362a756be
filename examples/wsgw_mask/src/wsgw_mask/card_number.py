"""Finds the numbers of payment cards in a text."""

from __future__ import annotations

import re

# Without groups, or grouped as on cards. Limited repeats keep the search linear.
CANDIDATE = re.compile(
    r"\b(?:[0-9]{13,19}"
    r"|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}"
    r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{5})\b",
    re.ASCII,
)
_NETWORKS = {
    "visa": re.compile(r"4"),
    "mastercard": re.compile(r"5[1-5]|2[2-7]"),
    "amex": re.compile(r"3[47]"),
}


def is_card_number(digits: str) -> bool:
    """Returns whether the last digit fits the others (Luhn's algorithm, ISO/IEC 7812)."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def network_of(digits: str) -> str:
    """Returns the network of a card, or `other`."""
    return next((name for name, begin in _NETWORKS.items() if begin.match(digits)), "other")
