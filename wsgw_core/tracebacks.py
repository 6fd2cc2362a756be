"""Keeps errors that were dealt with from keeping what they came through."""

from __future__ import annotations


def drop_tracebacks(error: BaseException) -> None:
    """Forgets through which calls an error, and the errors that it came of, have passed.

    The calls hold the task or future that was given the error, which makes a circle: without this
    all of it stays until the collector comes. Call it for errors that a peer can have at will.
    """
    left = [error]
    while left:
        one = left.pop()
        if one.__traceback__ is not None:  # else it was dealt with already, or is part of a circle
            one.__traceback__ = None
            left += [each for each in (one.__cause__, one.__context__) if each is not None]
