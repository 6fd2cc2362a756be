"""Makes untrusted text safe to print: one line, no terminal control, bounded length."""

from __future__ import annotations

LONGEST_LINE = 16 * 1024  # characters
LONGEST_NAME = 256  # characters of an id or a path


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """Returns a text with control and format characters escaped, shortened if necessary.

    Escapes all line ends (also U+2028), escape sequences, marks that reverse the order of letters
    (such as U+202E), and invisible characters. Keeps tabs.
    """
    text = shortened(text, most)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def shortened(text: str, most: int = LONGEST_NAME) -> str:
    """Returns a text; removes its middle if it is longer than `most`."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}...[{len(text) - 2 * half} characters]...{text[-half:]}"
