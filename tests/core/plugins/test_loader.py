"""Finding, importing and registering plugins, with distributions made for the test."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsgw_core.api import (
    ENTRY_POINT_GROUP,
    BackendRegistry,
    Options,
    PluginError,
    ValveRegistry,
    hookimpl,
)
from wsgw_core.plugins.loader import (
    Plugins,
    RequiredPlugin,
    import_plugin,
    installed_plugins,
    load_plugins,
)

Install = Callable[..., None]

GOOD = """
    from wsgw_core.api import Options, hookimpl

    WSGW_API = "1.0"
    registrations = []

    @hookimpl
    def wsgw_register_backends(registry):
        registrations.append(1)
        registry.add("carrier", Options, object, schemes=("pigeon", "dove"))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what puts a distribution with one module on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)

    def write(name: str, entries: dict[str, str], source: str = "", version: str = "1.2") -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8"
        )
        lines = [f"{entry} = {module}" for entry, module in entries.items()]
        group = f"[{ENTRY_POINT_GROUP}]"
        (info / "entry_points.txt").write_text("\n".join([group, *lines, ""]), "utf-8")
        for module in set(entries.values()):
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source), "utf-8")

    yield write
    for module in set(sys.modules) - modules:
        del sys.modules[module]


class Fast(Options):
    speed: int = 1


def make(_options: Any, _context: Any) -> Any:
    raise AssertionError("a factory is not called at registration")


make_other = partial(make)


def plugin(register: Callable[[BackendRegistry], object], api: object = "1.0") -> SimpleNamespace:
    """Return a plugin with one hook, as code that embeds the gateway would make one."""

    @hookimpl
    def wsgw_register_backends(registry: BackendRegistry) -> object:
        return register(registry)

    return SimpleNamespace(WSGW_API=api, wsgw_register_backends=wsgw_register_backends)


def problem_of(plugins: Plugins, broken: object) -> str:
    with pytest.raises(PluginError) as caught:
        plugins.register(broken, "acme 3")
    [problem] = caught.value.problems
    assert problem.startswith("acme 3: ")
    assert "\n" not in problem
    return problem


def test_a_plugin_provides_its_kind_and_its_schemes(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin"}, GOOD)

    plugins = load_plugins(["carrier"])

    found = plugins.backends.find("pigeon")
    assert found is not None
    assert found.kind == "carrier"
    assert plugins.backends.find("dove") is found
    assert not plugins.valves.kinds()


def test_names_of_one_module_register_it_once(install: Install) -> None:
    names = dict.fromkeys(("carrier", "pigeon", "dove"), "acme_plugin")
    install("acme", names, GOOD)

    load_plugins(["dove", "pigeon", "carrier", "pigeon"])

    assert sys.modules["acme_plugin"].registrations == [1]


def test_only_named_plugins_are_imported(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin"}, GOOD)
    install("other", {"other": "other_plugin"}, "raise RuntimeError('imported')")

    load_plugins(["carrier"])

    assert "other_plugin" not in sys.modules


def test_no_names_load_nothing() -> None:
    assert load_plugins([]).backends.kinds() == ()


@pytest.mark.parametrize(
    ("required", "text"),
    [
        (
            RequiredPlugin("owl", "scheme", "a.yaml:3: upstream.backends[0].url"),
            "a.yaml:3: upstream.backends[0].url: no installed plugin provides scheme 'owl'",
        ),
        (RequiredPlugin("owl"), "no installed plugin provides kind 'owl'"),
        ("owl", "no installed plugin provides kind 'owl'"),
    ],
)
def test_a_name_that_no_plugin_provides_is_told_with_where_it_stands_and_what_there_is(
    install: Install, required: RequiredPlugin | str, text: str
) -> None:
    install("acme", dict.fromkeys(("dove", "carrier"), "acme_plugin"), GOOD)

    with pytest.raises(PluginError) as caught:
        load_plugins([required])

    [problem] = caught.value.problems
    assert problem.startswith(text)
    assert "pip" not in problem
    assert "installed: " in problem
    assert "carrier, dove" in problem
    assert problem.endswith(" (of all roles)")
    assert "acme_plugin" not in sys.modules


def test_a_policy_that_nobody_provides_is_told_with_policies_and_not_with_backends(
    install: Install,
) -> None:
    install("acme", dict.fromkeys(("dove", "carrier"), "acme_plugin"), GOOD)

    with pytest.raises(PluginError) as caught:
        load_plugins([RequiredPlugin("leastconn", "policy")])

    [problem] = caught.value.problems
    assert problem == (
        "no installed plugin provides policy 'leastconn'; without a plugin: round-robin,"
        " least-connections, random-two, hash; did you mean 'least-connections'?"
    )


@pytest.mark.parametrize("written", ["carier", "Carrier", "carrrier"])
def test_a_mistyped_name_is_told_with_the_one_that_was_meant_and_no_package(
    install: Install, written: str
) -> None:
    install("acme", {"carrier": "acme_plugin"}, GOOD)

    with pytest.raises(PluginError) as caught:
        load_plugins([written])

    [problem] = caught.value.problems
    assert problem.endswith(f"provides kind {written!r}; did you mean 'carrier'?")
    assert "pip" not in problem


def test_all_unusable_plugins_are_reported_together(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin"}, "raise RuntimeError('broken')")

    with pytest.raises(PluginError) as caught:
        load_plugins(["owl", "carrier", "crow"])

    assert len(caught.value.problems) == 3


def test_two_distributions_with_one_name_are_reported_with_versions(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin"}, GOOD)
    install("bcme", {"carrier": "bcme_plugin"}, GOOD, version="2.0")

    with pytest.raises(PluginError, match=r"several .* acme 1\.2 .*, bcme 2\.0 .*") as caught:
        load_plugins(["carrier"])

    assert "'carrier'" in str(caught.value)
    assert "acme_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('line one\\nline two')", "RuntimeError: line one line two"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_failing_import_names_distribution_and_key_path(
    install: Install, source: str, said: str
) -> None:
    install("acme", {"carrier": "acme_plugin"}, source)

    with pytest.raises(PluginError) as caught:
        load_plugins([RequiredPlugin("carrier", where="valves[2].kind")])

    [problem] = caught.value.problems
    assert problem.startswith("valves[2].kind: plugin acme_plugin of acme 1.2: ")
    assert said in problem
    assert "\n" not in problem


def test_entry_point_to_a_missing_attribute_is_reported(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin"}, GOOD)
    install("bcme", {"owl": "acme_plugin:nothing"})

    with pytest.raises(PluginError, match=r"bcme 1\.2: cannot be imported: AttributeError"):
        load_plugins(["owl"])


def test_a_plugin_must_register_what_its_entry_points_promise(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin", "owl": "acme_plugin"}, GOOD)

    with pytest.raises(PluginError, match="promise 'owl', but it registers 'carrier', 'pigeon'"):
        load_plugins(["owl"])


@pytest.mark.parametrize(
    ("api", "said"),
    [
        (None, "does not state WSGW_API"),
        ("2.0", "is written for version 2.0 of the plugin contract; this wsgw has 1.0"),
        ("0.9", "is written for version 0.9"),
        ("1.1", "is written for version 1.1"),
        ("1", "WSGW_API = '1' is not a version"),
        ("1.0.1", "is not a version"),
        (1.0, "WSGW_API = 1.0 is not a version"),
    ],
)
def test_another_version_of_the_contract_is_refused(api: object, said: str) -> None:
    plugins = Plugins()

    problem = problem_of(plugins, plugin(lambda registry: registry.add("a", Fast, make), api))

    assert said in problem
    assert plugins.backends.kinds() == ()


def test_misspelt_hook_suggests_the_nearest_one() -> None:
    @hookimpl
    def wsgw_register_backend(registry: BackendRegistry) -> None:
        registry.add("a", Fast, make)

    broken = SimpleNamespace(WSGW_API="1.0", wsgw_register_backend=wsgw_register_backend)

    problem = problem_of(Plugins(), broken)

    assert "no hook 'wsgw_register_backend'; did you mean 'wsgw_register_backends'?" in problem


@pytest.mark.parametrize("name", ["wsgw_register_backends", "wsgw_register_valve"])
def test_hook_without_decorator_is_refused(name: str) -> None:
    def undecorated(registry: BackendRegistry) -> None:
        registry.add("a", Fast, make)

    good = plugin(lambda registry: registry.add("b", Fast, make))
    broken = SimpleNamespace(**{**vars(good), name: undecorated})

    assert f"{name} is not decorated with hookimpl" in problem_of(Plugins(), broken)


def test_an_async_hook_is_refused() -> None:
    @hookimpl
    async def wsgw_register_backends(registry: BackendRegistry) -> None:
        registry.add("a", Fast, make)

    broken = SimpleNamespace(WSGW_API="1.0", wsgw_register_backends=wsgw_register_backends)

    assert "wsgw_register_backends is an async function" in problem_of(Plugins(), broken)


def test_a_hook_that_returns_a_coroutine_is_refused() -> None:
    async def later(registry: BackendRegistry) -> None:
        registry.add("a", Fast, make)

    assert "it returned coroutine" in problem_of(Plugins(), plugin(later))


def test_a_hook_with_other_arguments_is_refused() -> None:
    @hookimpl
    def wsgw_register_backends(backends: BackendRegistry) -> None:
        backends.add("a", Fast, make)

    broken = SimpleNamespace(WSGW_API="1.0", wsgw_register_backends=wsgw_register_backends)

    assert "backends" in problem_of(Plugins(), broken)


def test_a_plugin_that_registers_nothing_is_refused() -> None:
    assert "registers nothing" in problem_of(Plugins(), plugin(lambda _registry: None))
    assert "registers nothing" in problem_of(Plugins(), SimpleNamespace(WSGW_API="1.0"))


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (lambda registry: registry.add("", Fast, make), "kind is ''"),
        (lambda registry: registry.add("a", dict, make), "'a': its options must be a subclass"),
        (lambda registry: registry.add("a", Fast(), make), "'a': its options must be a subclass"),
        (lambda registry: registry.add("a", Fast, "make"), "'a': its factory 'make' is not"),
        (lambda registry: registry.add("a"), "registration failed: TypeError"),
    ],
)
def test_a_registration_of_the_wrong_types_is_refused(
    register: Callable[[BackendRegistry], object], said: str
) -> None:
    plugins = Plugins()

    assert said in problem_of(plugins, plugin(register))
    assert plugins.backends.kinds() == ()


def test_a_kind_registered_twice_is_refused_and_the_first_one_stays() -> None:
    plugins = Plugins()
    plugins.register(plugin(lambda registry: registry.add("a", Fast, make)), "first")

    problem = problem_of(plugins, plugin(lambda registry: registry.add("a", Options, make_other)))

    assert "backend 'a' is registered twice" in problem
    found = plugins.backends.find("a")
    assert found is not None
    assert found.factory is make


def test_a_failed_registration_leaves_nothing_behind() -> None:
    plugins = Plugins()
    plugins.register(plugin(lambda registry: registry.add("a", Fast, make)), "first")

    @hookimpl
    def wsgw_register_valves(registry: ValveRegistry) -> None:
        registry.add("v", Fast, make)
        raise LookupError("half\nway")

    @hookimpl
    def wsgw_register_backends(registry: BackendRegistry) -> None:
        registry.add("b", Fast, make, schemes=("s",))

    broken = SimpleNamespace(
        WSGW_API="1.0",
        wsgw_register_valves=wsgw_register_valves,
        wsgw_register_backends=wsgw_register_backends,
    )
    assert "registration failed: LookupError: half way" in problem_of(plugins, broken)

    assert plugins.backends.kinds() == ("a",)
    assert plugins.backends.find("s") is None
    assert plugins.valves.kinds() == ()
    # Not even its hooks: those would run again, and the names are free for another plugin.
    plugins.register(
        plugin(lambda registry: registry.add("b", Fast, make, schemes=("s",))), "second"
    )
    assert plugins.backends.kinds() == ("a", "b")


def test_hooks_of_earlier_plugins_are_not_called_again() -> None:
    calls = []

    def register(registry: BackendRegistry) -> None:
        calls.append(1)
        registry.add("a", Fast, make)

    first = plugin(register)
    plugins = Plugins()

    plugins.register(first, "first")
    plugins.register(plugin(lambda registry: registry.add("b", Fast, make)), "second")

    assert calls == [1]


def test_one_plugin_cannot_be_registered_twice() -> None:
    plugins = Plugins()
    once = plugin(lambda registry: registry.add("a", Fast, make))
    plugins.register(once, "acme 3")

    assert "already registered" in problem_of(plugins, once)
    assert plugins.backends.kinds() == ("a",)


def test_imported_plugin_can_be_added_to_others(install: Install) -> None:
    install("acme", {"carrier": "acme_plugin", "pigeon": "acme_plugin"}, GOOD)
    plugins = Plugins()
    plugins.register(plugin(lambda registry: registry.add("mule", Fast, make)), "one")

    imported = import_plugin(RequiredPlugin("pigeon", "scheme"))
    assert plugins.backends.kinds() == ("mule",)
    plugins.register(imported.plugin, imported.source, imported.promised)

    assert plugins.backends.kinds() == ("mule", "carrier")
    assert imported.source == "plugin acme_plugin of acme 1.2"


def test_two_gateways_share_no_plugins() -> None:
    one, other = Plugins(), Plugins()
    shared = plugin(lambda registry: registry.add("a", Fast, make))

    one.register(shared, "shared")

    assert other.backends.kinds() == ()
    other.register(shared, "shared")
    assert other.backends.kinds() == ("a",)


def test_installed_plugins_are_listed_without_importing_them(install: Install) -> None:
    install("acme", {"b": "acme_plugin", "a": "acme_plugin"}, "raise RuntimeError('imported')")

    [found] = [one for one in installed_plugins() if one.distribution == "acme"]

    assert found.names == ("a", "b")
    assert (found.version, found.module) == ("1.2", "acme_plugin")
    assert "acme_plugin" not in sys.modules


def test_a_distribution_with_broken_metadata_is_listed_too(
    install: Install, tmp_path: Path
) -> None:
    install("acme", {"a": "acme_plugin"})
    (tmp_path / "acme-1.2.dist-info" / "METADATA").write_text("nothing useful\n", "utf-8")

    [found] = [one for one in installed_plugins() if one.module == "acme_plugin"]

    assert (found.distribution, found.version) == ("an unnamed distribution", "of unknown version")
