"""Links between documents have targets."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def without_code(path: Path) -> str:
    return _CODE.sub("", path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """Returns the anchors that a forge makes from a document's headings."""
    found: set[str] = set()
    counts: Counter[str] = Counter()
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{anchor}-{counts[anchor]}" if counts[anchor] else anchor)
        counts[anchor] += 1
    return found


def test_links_and_anchors_exist(documents: list[Path], root: Path) -> None:
    broken = []
    for document in documents:
        for link in _LINK.findall(without_code(document)):
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            target = (document.parent / file).resolve() if file else document
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{document.relative_to(root)}: {link}")
    assert broken == []


def test_index_links_to_every_document(root: Path) -> None:
    index = root / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text("utf-8"))}
    assert set((root / "docs").glob("*/*.md")) == linked


def test_documents_name_no_path_of_the_authors_machine(documents: list[Path]) -> None:
    for document in documents:
        assert not re.search(r"/(?:home|work|root|Users|tmp)/", document.read_text("utf-8")), (
            document
        )


def test_make_targets_exist(documents: list[Path], root: Path) -> None:
    makefile = (root / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    for document in documents:
        text = document.read_text("utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, document
