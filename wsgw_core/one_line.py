"""Shows text that others have made: on one line, without steering a terminal, of bounded length."""

from __future__ import annotations

LONGEST_LINE = 16 * 1024  # characters
LONGEST_NAME = 256  # of an id, a path or the like


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """Returns a text with its control and format characters escaped, shortened if need be.

    Escaped is what ends a line or changes how text is shown: line ends of all kinds (U+2028 too),
    escape sequences, the marks that reverse the order of letters (U+202E and the like), and
    whatever is invisible. A tab stays.
    """
    text = shortened(text, most)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def shortened(text: str, most: int = LONGEST_NAME) -> str:
    """Returns a text that is longer than `most` without its middle."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}...[{len(text) - 2 * half} characters]...{text[-half:]}"
