"""Writes the parts of docs/ that follow from the code: configuration, commands, contract, counters.

usage: make_reference.py [--check]

A part is between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. With --check, the script
writes nothing and exits with 1 when a file is not up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from reference_parts.parts import PARTS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def up_to_date(text: str) -> str:
    """Returns a document with its generated parts made anew."""

    def make(match: re.Match[str]) -> str:
        part = "\n".join(PARTS[match[2]]()).rstrip()
        return f"{match[1]}{part}\n{match[3]}"

    return PART.sub(make, text)


def main() -> int:
    """Writes or checks; returns the exit status."""
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text("utf-8")
        after = up_to_date(before)
        if after != before:
            stale.append(path)
            if "--check" not in sys.argv[1:]:
                path.write_text(after, "utf-8")
    for path in stale:
        verb = "is" if "--check" in sys.argv[1:] else "was"
        print(f"{path.relative_to(DOCS.parent)} {verb} out of date")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
