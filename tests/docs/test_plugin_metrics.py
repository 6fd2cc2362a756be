"""The metrics reference lists every metric of the plugins, wherever their code makes it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(
    path.parent
    for folder in ("plugins", "examples")
    for path in ROOT.glob(f"{folder}/wsgw_*/pyproject.toml")
)


def metrics_made_in(source: str) -> Iterator[str]:
    """Yields the names passed to `counter`, `gauge` or `histogram`, whatever these are called."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        name = node.args[0]
        if called in ("counter", "gauge", "histogram") and isinstance(name, ast.Constant):
            yield str(name.value)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_each_metric_of_a_plugin_is_in_the_reference(plugin: Path) -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    known = re.findall(r"^\| `(wsgw_\w+)`", page, re.MULTILINE)
    project = tomllib.loads((plugin / "pyproject.toml").read_text("utf-8"))["project"]
    kinds = [kind.replace("-", "_") for kind in project["entry-points"].get("wsgw", ())]
    for file in (plugin / "src").rglob("*.py"):
        for name in metrics_made_in(file.read_text("utf-8")):
            possible = {f"wsgw_{kind}_{name}{end}" for kind in kinds for end in ("", "_total")}
            assert possible & {*known}, file


def test_metrics_are_found_whatever_names_their_factory_has() -> None:
    source = """
counter = context.metrics.counter
one = counter("a", "A.")
two = self.metrics.histogram("b", "B.", bounds=(1,))
three = x.gauge("c", "C.", lambda: 1)
"""
    assert list(metrics_made_in(source)) == ["a", "b", "c"]
