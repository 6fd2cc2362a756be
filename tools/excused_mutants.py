"""Reads excused_mutants.toml, the list of mutants that no test has to detect.

usage: excused_mutants.py

As a command it checks the list: the exit status is 1 if an entry gives no reason, is there twice,
or names a line that is no longer in its file.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Change:
    """What a mutant changes. It has no line number: other lines may come and go.

    Attributes:
        file: the path in the repository.
        line: the line, without indentation.
        becomes: what the mutant makes of it.
    """

    file: str
    line: str
    becomes: str

    def entry(self) -> str:
        """Returns it as it stands in the list, without a reason."""
        named = {"file": self.file, "line": self.line, "becomes": self.becomes, "reason": ""}
        return "\n".join(
            ("[[mutant]]", *(f"{key} = {json.dumps(text)}" for key, text in named.items()))
        )


def entries() -> list[tuple[Change, str]]:
    """Returns the excused changes and their reasons."""
    listed = tomllib.loads(LIST.read_text("utf-8")).get("mutant", [])
    return [
        (Change(each["file"], each["line"], each["becomes"]), each["reason"]) for each in listed
    ]


def main() -> int:
    """Prints what is wrong with the list; returns the exit status."""
    lines: dict[str, set[str]] = {}
    wrong = []
    for change, reason in entries():
        if change.file not in lines:
            file = ROOT / change.file
            text = file.read_text("utf-8") if file.is_file() else ""
            lines[change.file] = {line.strip() for line in text.splitlines()}
        if change.line not in lines[change.file]:
            wrong.append(f"{change.file} has no such line: {change.line}")
        if not reason:
            wrong.append(f"{change.file}: no reason given: {change.becomes}")
    twice = [
        change for change, times in Counter(each for each, _ in entries()).items() if times > 1
    ]
    wrong += [f"{change.file}: listed twice: {change.becomes}" for change in twice]
    print(
        "\n".join(f"{LIST.name}: {each}" for each in wrong) or "Every excused mutant is in place."
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
