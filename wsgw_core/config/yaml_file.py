"""Reads YAML into plain data and records the line of every key.

Only `true`, `false`, `null` and decimal, octal and hexadecimal numbers have a type (the core schema
of YAML 1.2), so an id such as `no`, `12:30` or `1e5` is text. Duplicate keys and other tags are
problems.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .problems import KeyPath, found_text

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_NUMBER_BASES = {"0x": 16, "0o": 8}

# Real files never reach these limits; a file with aliases of aliases does after a few lines.
_MAX_NODES = 100_000
MAX_DEPTH = 50
_MAX_DIGITS = 100

# Clearer texts for some errors of the parser.
_CLEARER = {
    "'\\t'": "a tab: indent with spaces",
    "<block end>": "indentation differs from the lines that it belongs to",
    "mapping values are not allowed": "a colon too many, or more indentation than the line before",
    "could not find expected ':'": "a key without a colon",
    "found unexpected end of stream": "a quote that is not closed",
    "cannot start any token": "a value that begins with this character needs quotes",
    # Does not show what was found: it may be the beginning of a password.
    "found undefined alias": "an alias without its anchor; text that begins with '*' needs quotes",
    "found duplicate anchor": "an anchor used twice; text that begins with '&' needs quotes",
    "found undefined tag handle": "a tag; text that begins with '!' needs quotes",
}
_TAGGED = "tags are not supported; text that begins with '!' needs quotes"


class _CoreSchemaLoader(yaml.SafeLoader):
    """PyYAML's parser without the booleans, times and numbers of YAML 1.1."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the library's own way to override it


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    ("float", r"[-+]?[0-9]*\.[0-9]+|[-+]?[0-9]+\.", [*"-+.0123456789"]),
    ("merge", r"<<", ["<"]),
):
    _CoreSchemaLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(slots=True)
class FileContent:
    """The content of a file.

    Attributes:
        data: mappings with text keys, lists, text, numbers, booleans and None.
        lines: the line of each key path, with keys as written.
        problems: the problems, each with its line.
    """

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_yaml(text: str, name: str) -> FileContent:
    """Reads one document; reports errors as problems instead of raising them.

    Args:
        text: the text of the file.
        name: the name of the file in problems.
    """
    content = FileContent()
    try:
        node = _compose(text)
        if node is not None:
            content.data = _Reader(content, name).value(node, ())
    except _TooLarge as error:
        content.problems.append(f"{name}: {error}")
    except yaml.MarkedYAMLError as error:
        begun = error.context_mark if (error.context or "").startswith("while scanning a") else None
        mark = begun or error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        said = "; ".join(part for part in (error.context, error.problem) if part)
        said = next((clear for part, clear in _CLEARER.items() if part in said), said)
        content.problems.append(f"{place}: not YAML: {_one_line(said)}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        content.problems.append(f"{name}:{line}: not YAML: {_one_line(error.reason)}")
    except RecursionError:
        content.problems.append(f"{name}: nested too deeply")
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The parser raises such errors, for example for an escape beyond Unicode.
        content.problems.append(f"{name}: not YAML: {_one_line(str(error))}")
    return content


class _TooLarge(Exception):
    """The document is larger or deeper than any configuration."""


def _compose(text: str) -> yaml.Node | None:
    loader = _CoreSchemaLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values."""

    def __init__(self, content: FileContent, name: str) -> None:
        self._content = content
        self._name = name
        self._nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        # Also catches a node that refers to itself.
        if self._nodes > _MAX_NODES or len(path) > MAX_DEPTH:
            raise _TooLarge(
                f"nested more than {MAX_DEPTH} levels deep, or more than {_MAX_NODES} values"
            )
        self._content.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path) if self._tagged(node, "map") else None
        if isinstance(node, yaml.SequenceNode):
            if not self._tagged(node, "seq"):
                return None
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                mapping.update(self._merged(value_node, path))
        own: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            line = _line(key_node)
            key = self._scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a collection"
                self._problem(line, f"found the key {found_text(shown)}, allowed: text")
                continue
            if key in own:
                self._problem(
                    line, f"duplicate key {found_text(key)}; the first one is in line {own[key]}"
                )
                continue
            own[key] = line
            self._content.lines[*path, key] = line
            mapping[key] = self.value(value_node, (*path, key))
        return mapping

    def _merged(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        """Returns the keys that `<<` merges; the first of several mappings takes precedence."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            self._nodes += 1
            if self._nodes > _MAX_NODES:
                raise _TooLarge(f"more than {_MAX_NODES} values")
            if isinstance(source, yaml.MappingNode):
                merged.update(self._mapping(source, path))
            else:
                self._problem(_line(source), "'<<' takes a mapping or a list of mappings")
        return merged

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text: str = node.value
        try:
            text.encode()
            return self._typed(node, text)
        except ValueError as error:
            self._problem(_line(node), f"found {found_text(text, path)}: {_one_line(str(error))}")
            return None

    def _typed(self, node: yaml.Node, text: str) -> Any:
        match node.tag.removeprefix(_TAG):
            case "str" | "merge":
                return text
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return text.lower() == "true"
            case "int" if len(text) > _MAX_DIGITS:
                raise ValueError(f"a number with more than {_MAX_DIGITS} digits")
            case "int":
                return int(text, _NUMBER_BASES.get(text[:2], 10))
            case "float":
                return float(text)
        raise ValueError(_TAGGED)

    def _tagged(self, node: yaml.Node, tag: str) -> bool:
        if node.tag == _TAG + tag:
            return True
        self._problem(_line(node), _TAGGED)
        return False

    def _problem(self, line: int, text: str) -> None:
        self._content.problems.append(f"{self._name}:{line}: {text}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _one_line(text: str) -> str:
    return " ".join(text.split())
