"""Checks that every line that silences a tool gives a reason, as in `# noqa: X - the reason`.

usage: check_reasons.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_BARE = re.compile(
    r"#\s*(?:noqa(?::[A-Z0-9\s,]+)?|type:\s*ignore(?:\[[a-z\s,-]+\])?|pragma:\s*no cover)\s*$"
)


def main() -> int:
    """Prints the lines without a reason; returns the exit status."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],  # noqa: S607 - the developer's git
        check=True,
        capture_output=True,
        text=True,
    )
    files = sorted({Path(name) for name in listing.stdout.splitlines()})
    bare = [
        f"{file}:{number}: no reason given: {line.strip()}"
        for file in files
        if file.is_file()
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if _BARE.search(line)
    ]
    print("\n".join(bare) or "Every ignore has its reason.")
    return 1 if bare else 0


if __name__ == "__main__":
    sys.exit(main())
