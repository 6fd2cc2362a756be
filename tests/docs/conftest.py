"""The documents and their code blocks."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"^(?:<!-- (?P<comment>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        document: the document that holds it.
        line: the number of its first line.
        language: the word after the opening backticks.
        text: its content.
        comment: the comment in the line above; empty if there is none.
    """

    document: Path
    line: int
    language: str
    text: str
    comment: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def find_documents() -> list[Path]:
    patterns = ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*/*.md", "plugins/*/*.md")
    return [path for pattern in (*patterns, "bundle/*.md") for path in sorted(ROOT.glob(pattern))]


def find_blocks(document: Path) -> list[Block]:
    text = document.read_text("utf-8")
    return [
        Block(
            document,
            text.count("\n", 0, match.start("text")) + 1,
            match["language"],
            match["text"],
            match["comment"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]


def load_tool(name: str) -> ModuleType:
    """Returns a module of tools/, which is no package; finds it as the scripts there do."""
    folder = str(ROOT / "tools")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def documents() -> list[Path]:
    """Returns every document of the repository."""
    return find_documents()


@pytest.fixture(scope="session")
def blocks(documents: list[Path]) -> list[Block]:
    """Returns every code block of every document."""
    return [block for document in documents for block in find_blocks(document)]


@pytest.fixture(scope="session")
def make_reference() -> ModuleType:
    """Returns the script that writes the generated parts."""
    return load_tool("make_reference")
