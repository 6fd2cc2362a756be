"""Code blocks in documents work."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no type hints

from wsgw_core.config.sources import read_sources
from wsgw_core.loading.schema import config_schema
from wsgw_core.plugins.loader import Plugins, load_plugins
from wsgw_core.plugins.plugin_specs import PluginSpecs, resolve_specs

if TYPE_CHECKING:
    from tests.docs.conftest import Block

LANGUAGES = {"", "sh", "yaml", "python", "toml", "json", "text", "nginx", "mermaid"}
EXAMPLES = tuple(f"wsgw_{name}.plugin" for name in ("jsonl", "heartbeat", "mask", "nats", "zone"))
VALVES = (
    "access",
    "headers",
    "json-schema",
    "jwt",
    "message-log",
    "rate-limit",
)  # a kind loads its whole plugin
BASH = shutil.which("bash") or "bash"
SOME_BACKEND = "upstream:\n  backends:\n    - url: ws://localhost:9090\n"


def test_documents_have_blocks_of_each_checked_language(blocks: list[Block]) -> None:
    assert {block.language for block in blocks} <= LANGUAGES
    assert {"sh", "yaml", "python"} <= {block.language for block in blocks}


@pytest.fixture
def example_sources(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sources in (root / "examples").glob("*/src"):
        monkeypatch.syspath_prepend(str(sources))


def module_of(block: Block) -> ModuleType:
    module = ModuleType(f"block_{block.line}")
    exec(compile(block.text, str(block), "exec"), module.__dict__)  # noqa: S102 - our own text
    return module


def plugins_in(document: Path, blocks: list[Block]) -> tuple[Block, ...]:
    """Returns the plugins that a document itself shows."""
    return tuple(
        block
        for block in blocks
        if block.document == document and block.language == "python" and not block.comment
        if "WSGW_API = " in block.text
    )


def plugins_with(shown: tuple[Block, ...]) -> Plugins:
    """Returns the installed plugins, the examples, and the plugins that a document shows."""
    plugins = load_plugins(["amqp", "http", "redis", "ws", *VALVES])
    for name in EXAMPLES:
        plugins.register(importlib.import_module(name), name)
    for block in shown:
        plugins.register(module_of(block), str(block))
    return plugins


def components_of(block: Block, blocks: list[Block], folder: Path) -> PluginSpecs:
    text = block.text if "backends:" in block.text else SOME_BACKEND + block.text
    file = folder / "block.yaml"
    file.write_text(text, "utf-8")
    draft = read_sources(file, {})
    assert draft.config is not None, draft.problems
    return resolve_specs(draft.config, plugins_with(plugins_in(block.document, blocks)))


@pytest.mark.usefixtures("example_sources")
def test_configurations_load_and_their_kinds_exist(blocks: list[Block], tmp_path: Path) -> None:
    found = [block for block in blocks if block.language == "yaml"]
    assert len(found) > 10
    for block in found:
        assert components_of(block, blocks, tmp_path).all_backends, block


@pytest.mark.usefixtures("example_sources")
def test_configurations_follow_the_schema(blocks: list[Block]) -> None:
    @cache
    def validator(shown: tuple[Block, ...]) -> Draft202012Validator:
        return Draft202012Validator(config_schema(plugins_with(shown)))

    for block in blocks:
        if block.language == "yaml":
            validator(plugins_in(block.document, blocks)).validate(yaml.safe_load(block.text))


@pytest.mark.usefixtures("example_sources")
def test_plugins_in_documents_register(blocks: list[Block]) -> None:
    documents = {block.document for block in blocks if "WSGW_API" in block.text}
    assert len(documents) >= 4
    for document in documents:
        plugins_with(plugins_in(document, blocks))


def test_toml_blocks_parse(blocks: list[Block]) -> None:
    for block in blocks:
        if block.language == "toml":
            assert tomllib.loads(block.text), block


def test_python_blocks_compile(blocks: list[Block]) -> None:
    for block in blocks:
        if block.language == "python" and not block.comment.startswith("from: "):
            compile(block.text, str(block), "exec")


@pytest.mark.slow
def test_python_blocks_marked_run_succeed(blocks: list[Block], tmp_path: Path) -> None:
    marked = [block for block in blocks if block.comment == "run"]
    assert marked
    for block in marked:
        file = tmp_path / "block.py"
        file.write_text(block.text, "utf-8")
        result = subprocess.run(
            [sys.executable, "-W", "error", file],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        assert (result.returncode, result.stderr) == (0, ""), f"{block}\n{result.stderr}"


def test_quoted_blocks_are_in_their_files(blocks: list[Block], root: Path) -> None:
    quoted = [block for block in blocks if block.comment.startswith("from: ")]
    assert quoted
    for block in quoted:
        source = (root / block.comment.removeprefix("from: ")).read_text("utf-8")
        assert block.text in source, block


def test_comments_above_blocks_are_known_marks(blocks: list[Block]) -> None:
    known = ("run", "from: ", "generated: ", "drawn: ")
    for block in blocks:
        assert not block.comment or block.comment.startswith(known), block


def test_shell_blocks_are_valid(blocks: list[Block]) -> None:
    for block in blocks:
        if block.language == "sh":
            subprocess.run([BASH, "-n"], input=block.text, check=True, text=True)


def test_readme_file_and_variables_give_the_same_configuration(
    blocks: list[Block], root: Path, tmp_path: Path
) -> None:
    own = [block for block in blocks if block.document == root / "README.md"]
    (written,) = [block for block in own if block.language == "yaml"]
    (shell,) = [block for block in own if block.language == "sh"]
    file = tmp_path / "wsgw.yaml"
    file.write_text(written.text, "utf-8")
    (tmp_path / "wsgw").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "wsgw").chmod(0o755)

    printed = subprocess.run(
        [BASH, "-c", shell.text],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    ).stdout
    variables = dict(line.partition("=")[::2] for line in printed.splitlines())

    by_variables, by_file = read_sources(None, variables), read_sources(file, {})
    assert by_variables.problems == by_file.problems == ()
    assert by_variables.config == by_file.config
