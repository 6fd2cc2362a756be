"""Any value of a plugin's options is accepted or reported."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from wsgw_core.api import BackendRegistry, Duration, Options, Size, ValveRegistry, hookimpl
from wsgw_core.config.problems import Origins
from wsgw_core.plugins.entries import Entries
from wsgw_core.plugins.loader import Plugins
from wsgw_core.plugins.plugin_specs import resolve_entries


def _never(_options: Any, _context: Any) -> Any:
    raise AssertionError("a factory is not called before the start")


class NestOptions(Options):
    eggs: int = 3
    warmth: Duration = 1.0


class BroodOptions(Options):
    url: str = ""
    ping_time: Duration = 10.0
    password: SecretStr | None = None
    marks: tuple[int, ...] = ()
    names: dict[str, str] | None = None
    nest: NestOptions | None = None
    nests: tuple[NestOptions, ...] = ()
    size: Size = 1
    either: Literal["a", "b"] = "a"


WORDS = (
    "url ping-time ping_time password password-file marks names nest nests size either eggs warmth"
    " url-file kind id odd -file é"
)
KEYS = st.sampled_from(["", *WORDS.split()])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1s", "1,2", "64KiB", "/dev/null", "/nowhere", "brood://a:1", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


class Brood:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_backends(self, registry: BackendRegistry) -> None:
        registry.add("brood", BroodOptions, _never)

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("brood", BroodOptions, _never)


@settings(max_examples=150, deadline=None)
@example([{"password-file": "/no\nwhere"}], False)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3), st.booleans())
def test_any_options_are_accepted_or_reported(entries: list[dict[str, Any]], valves: bool) -> None:
    plugins = Plugins()
    plugins.register(Brood(), "brood")
    given_entries = [{"id": f"b{n}", "kind": "brood"} | one for n, one in enumerate(entries)]
    data = {"valves": given_entries} if valves else {"upstream": {"backends": given_entries}}

    usable = Entries.usable_in(data)
    specs, problems = resolve_entries(usable, plugins, Origins())

    found = specs.valves or specs.backends
    assert len(found) + bool(problems) >= min(1, len(usable.valves) + len(usable.backends))
    assert all(problem.strip() and "\n" not in problem for problem in problems)
    for spec in found:
        with pytest.raises(ValidationError, match="frozen"):
            spec.options.ping_time = 1.0  # type: ignore[attr-defined]  # what is tested
