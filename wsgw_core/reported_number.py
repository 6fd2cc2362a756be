"""Reads what an object of a plugin reports, such as how many bytes it holds."""

from __future__ import annotations

_MOST = 1 << 48  # no machine has so many bytes


def reported_number(plugins: object, name: str) -> int:
    """Returns the number in an attribute of a plugin's object; 0 if it has none.

    Args:
        plugins: the object.
        name: the attribute.

    Raises:
        TypeError: it is not a natural number.
        Exception: what the plugin raises.
    """
    number = getattr(plugins, name, 0)
    if not isinstance(number, int):
        raise TypeError(f"{name} is of type {type(number).__name__}, not int")
    if not 0 <= number < _MOST:
        raise TypeError(f"{name} is out of range")
    return number
