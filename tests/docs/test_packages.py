"""Each package's docstring says what each of its modules is for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    path.parent.relative_to(ROOT)
    for pattern in ("wsgw_core/**/__init__.py", "plugins/*/src/**/__init__.py")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_package_docstring_names_its_modules(package: Path) -> None:
    folder = ROOT / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    named = set(re.findall(r"\w+", text.lower()))
    unnamed = [
        module.stem
        for module in folder.glob("[!_]*.py")
        if module.stem not in named and module.stem.replace("_", " ") not in text.lower()
    ]

    assert not unnamed
