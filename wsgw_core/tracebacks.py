"""Frees the frames that a handled error refers to."""

from __future__ import annotations


def drop_tracebacks(error: BaseException) -> None:
    """Removes the tracebacks of an error, its causes and its contexts.

    The frames refer to the task or future with the error, which is a reference cycle. Without this
    call, the cycle stays until the garbage collector runs. Use it for errors that a peer can cause.
    """
    left = [error]
    while left:
        one = left.pop()
        if one.__traceback__ is not None:  # otherwise already done, or part of a cycle
            one.__traceback__ = None
            left += [each for each in (one.__cause__, one.__context__) if each is not None]
