"""Finds, imports and registers plugins: only those that the configuration names.

`load_plugins` finds entry points by name and imports their modules. `Plugins.register` accepts a
module or another object with hooks; programs that embed the gateway call it for their own plugins.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from typing import Any, Literal

import pluggy

from ..api import (
    API_VERSION,
    ENTRY_POINT_GROUP,
    BackendRegistry,
    GateRegistry,
    ListenerRegistry,
    Options,
    PluginError,
    PolicyRegistry,
    ValveRegistry,
    hookspecs,
)
from ..api.registry import Registration, Registry
from ..config.problems import found_text
from ..policies import register_policies
from .entry_points import distribution_of, error_text

_API_ATTRIBUTE = "WSGW_API"
_API_TEXT = ".".join(map(str, API_VERSION))
_API_PATTERN = re.compile(r"(\d+)\.(\d+)\Z")
_HOOK_PREFIX = "wsgw_"
_LONGEST_NAME = 60  # characters to compare with other names

Naming = Literal["kind", "scheme", "policy"]


@dataclass(frozen=True, slots=True)
class RequiredPlugin:
    """A name that a plugin must provide.

    Attributes:
        name: a kind or a URL scheme.
        naming: what the name is in the configuration, for messages.
        where: source and key path of the name, or empty.
    """

    name: str
    naming: Naming = "kind"
    where: str = ""

    def problem(self, text: str) -> str:
        """Returns a line with place and text."""
        return f"{self.where}: {text}" if self.where else text


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin according to the metadata of its distribution; it is not imported.

    Attributes:
        names: its kinds and URL schemes.
        module: its module.
        distribution, version: its distribution.
    """

    names: tuple[str, ...]
    module: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class ImportedPlugin:
    """A plugin that can be registered; see `Plugins.register`."""

    plugin: object
    source: str
    promised: tuple[str, ...]


class Plugins:
    """The registered plugins of one gateway. Instances share nothing."""

    def __init__(self) -> None:
        self.backends: BackendRegistry = Registry("backend")
        self.valves: ValveRegistry = Registry("valve")
        self.listeners: ListenerRegistry = Registry("listener")
        self.gates: GateRegistry = Registry("gate")
        self.policies: PolicyRegistry = Registry("policy")
        register_policies(self.policies)
        self._registries: dict[str, Registry[Any]] = {
            "wsgw_register_backends": self.backends,
            "wsgw_register_valves": self.valves,
            "wsgw_register_listeners": self.listeners,
            "wsgw_register_gates": self.gates,
            "wsgw_register_policies": self.policies,
        }
        self._manager = pluggy.PluginManager("wsgw")
        self._manager.add_hookspecs(hookspecs)

    def register(self, plugin: object, source: str, promised: Collection[str] = ()) -> None:
        """Registers all kinds of a plugin, or none if it breaks the contract.

        Args:
            plugin: a module or another object with hooks and `WSGW_API`.
            source: the name of the plugin in errors, such as `my_plugin of my-distribution 1.0`.
            promised: kinds or schemes that the plugin must register.

        Raises:
            PluginError: the plugin breaks the contract; the registries are as they were before.
        """
        if plugin in self:
            raise PluginError(f"{source}: already registered")
        before = {name: registry.kinds() for name, registry in self._registries.items()}
        try:
            _check_api_version(plugin)
            _check_hook_functions(plugin)
            # The object's identity is its name: two modules of one name are two plugins.
            self._manager.register(plugin, name=f"{source} #{id(plugin)}")
            self._manager.check_pending()
            self._call_hooks(plugin)
            self._check_registered(before, promised)
        except Exception as error:
            self._roll_back(plugin, before)
            raise PluginError(f"{source}: {_explain(error)}") from error

    def __contains__(self, plugin: object) -> bool:
        """Whether a plugin is registered."""
        return self._manager.is_registered(plugin)

    def roles_of(self, name: str) -> tuple[str, ...]:
        """Returns the roles in which a kind or URL scheme is registered, such as `valve`."""
        return tuple(each.role for each in self._registries.values() if each.find(name))

    def _call_hooks(self, plugin: object) -> None:
        # Calls only this plugin's hooks; pluggy would also call those registered before.
        for hook_name, registry in self._registries.items():
            for hook in getattr(self._manager.hook, hook_name).get_hookimpls():
                if hook.plugin is not plugin:
                    continue
                result = hook.function(*(registry for _ in hook.argnames))
                if inspect.iscoroutine(result):
                    result.close()
                if result is not None:
                    # A coroutine or generator has not run yet.
                    raise _ContractError(
                        f"{hook_name} must only register and return nothing,"
                        f" it returned {type(result).__name__}"
                    )

    def _check_registered(
        self, before: dict[str, tuple[str, ...]], promised: Collection[str]
    ) -> None:
        added: list[str] = []
        for hook_name, registry in self._registries.items():
            for registration in registry:
                if registration.kind not in before[hook_name]:
                    _check_registration(registration)
                    added += [registration.kind, *registration.schemes]
        if not added:
            raise _ContractError("registers nothing")
        missing = [name for name in promised if name not in added]
        if missing:
            raise _ContractError(
                f"its entry points promise {_quoted(missing)}, but it registers {_quoted(added)}"
            )

    def _roll_back(self, plugin: object, before: dict[str, tuple[str, ...]]) -> None:
        if plugin in self:
            self._manager.unregister(plugin)
        for hook_name, registry in self._registries.items():
            for kind in registry.kinds():
                if kind not in before[hook_name]:
                    registry.remove(kind)


def load_plugins(kinds: Iterable[str | RequiredPlugin]) -> Plugins:
    """Imports and registers the plugins that provide these kinds or URL schemes, and no others.

    Raises:
        PluginError: with one problem for each plugin that is missing or not usable.
    """
    plugins, problems = load_usable_plugins(kinds)
    if problems:
        raise PluginError(problems)
    return plugins


def load_usable_plugins(
    kinds: Iterable[str | RequiredPlugin], given: Iterable[object] = ()
) -> tuple[Plugins, list[str]]:
    """Loads the usable plugins like `load_plugins`; also returns the problems of the others.

    Args:
        kinds: see there.
        given: plugins of the program; names that they provide need no installed plugin.
    """
    required: dict[str, RequiredPlugin] = {}
    for kind in kinds:
        one = RequiredPlugin(kind) if isinstance(kind, str) else kind
        required.setdefault(one.name, one)

    plugins = Plugins()
    problems: list[str] = []
    for number, plugin in enumerate(given):
        try:
            plugins.register(plugin, getattr(plugin, "__name__", f"plugin {number} of the program"))
        except PluginError as error:
            problems += error.problems
    required = {name: one for name, one in required.items() if not plugins.roles_of(name)}
    # Several names may lead to one module, which is registered once.
    by_target: dict[str, tuple[metadata.EntryPoint, list[RequiredPlugin]]] = {}
    entry_points = metadata.entry_points(group=ENTRY_POINT_GROUP) if required else ()
    for one in required.values():
        try:
            entry_point = _find_entry_point(one, entry_points)
        except PluginError as error:
            problems += error.problems
        else:
            by_target.setdefault(entry_point.value, (entry_point, []))[1].append(one)
    for entry_point, wanted in by_target.values():
        try:
            imported = _import(entry_point, wanted)
            plugins.register(imported.plugin, imported.source, imported.promised)
        except PluginError as error:
            problems += [wanted[0].problem(problem) for problem in error.problems]
    return plugins, problems


def import_plugin(required: RequiredPlugin) -> ImportedPlugin:
    """Imports the plugin that provides a kind or URL scheme; works in any thread.

    Raises:
        PluginError: the plugin is missing or cannot be imported.
    """
    entry_point = _find_entry_point(required, metadata.entry_points(group=ENTRY_POINT_GROUP))
    return _import(entry_point, [required])


def installed_plugins() -> list[InstalledPlugin]:
    """Returns all installed plugins from their metadata, including broken ones."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for entry_point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        distribution, version = distribution_of(entry_point)
        names.setdefault((distribution, version, entry_point.value), []).append(entry_point.name)
    return [
        InstalledPlugin(tuple(sorted(set(names[key]))), key[2], key[0], key[1])
        for key in sorted(names)
    ]


OWN_POLICIES = Plugins().policies.kinds()
"""The built-in policies."""


class _ContractError(Exception):
    """A plugin breaks the contract; the text is for its author."""


def _find_entry_point(
    one: RequiredPlugin, entry_points: Iterable[metadata.EntryPoint]
) -> metadata.EntryPoint:
    found: dict[tuple[str, str, str], metadata.EntryPoint] = {}
    for entry_point in entry_points:
        if entry_point.name == one.name:
            found[(*distribution_of(entry_point), entry_point.value)] = entry_point
    if not found:
        # Suggests no package: anyone could have published one under a misspelt name.
        installed = sorted({entry_point.name for entry_point in entry_points})
        if one.naming == "policy":  # most of what is installed provides backends
            own = ", ".join(OWN_POLICIES)
            hint = f"; without a plugin: {own}{_nearest(one.name, [*OWN_POLICIES, *installed])}"
        else:
            hint = _nearest(one.name, installed)
            # Only an import would tell the roles, and a mistyped name must not import everything.
            hint = hint or f"; installed: {', '.join(installed) or 'none'} (of all roles)"
        text = f"no installed plugin provides {one.naming} {found_text(one.name)}"
        raise PluginError(one.problem(text + hint))
    if len(found) > 1:
        sources = ", ".join(f"{name} {version} ({value})" for name, version, value in sorted(found))
        raise PluginError(
            one.problem(
                f"several installed plugins provide {one.naming} {one.name!r}: {sources};"
                " uninstall all but one"
            )
        )
    return next(iter(found.values()))


def _import(entry_point: metadata.EntryPoint, wanted: Iterable[RequiredPlugin]) -> ImportedPlugin:
    source = "plugin {} of {} {}".format(entry_point.value, *distribution_of(entry_point))
    try:
        plugin = entry_point.load()
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything
        raise PluginError(f"{source}: cannot be imported: {error_text(error)}") from error
    return ImportedPlugin(plugin, source, tuple(one.name for one in wanted))


def _check_api_version(plugin: object) -> None:
    stated = getattr(plugin, _API_ATTRIBUTE, None)
    if stated is None:
        raise _ContractError(
            f"does not state {_API_ATTRIBUTE}, the version of the plugin contract it was written"
            f" for; this wsgw has {_API_TEXT}"
        )
    match = _API_PATTERN.match(stated) if isinstance(stated, str) else None
    if not match:
        raise _ContractError(
            f"{_API_ATTRIBUTE} = {stated!r} is not a version such as {_API_TEXT!r}"
        )
    major, minor = int(match[1]), int(match[2])
    if major != API_VERSION[0] or minor > API_VERSION[1]:
        raise _ContractError(
            f"is written for version {stated} of the plugin contract; this wsgw has {_API_TEXT}"
        )


def _check_hook_functions(plugin: object) -> None:
    """Finds hooks that pluggy would ignore silently."""
    specified = [name for name in vars(hookspecs) if name.startswith(_HOOK_PREFIX)]
    for name in dir(plugin):
        function = inspect.getattr_static(plugin, name)
        if isinstance(function, (staticmethod, classmethod)):
            function = function.__func__
        if not inspect.isroutine(function):
            continue
        options = getattr(function, "wsgw_impl", None)
        if options is None:
            if name.startswith(_HOOK_PREFIX):
                raise _ContractError(
                    f"{name} is not decorated with hookimpl{_nearest(name, specified)}"
                )
            continue
        hook_name = options.get("specname") or name
        if hook_name not in specified and not options.get("optionalhook"):
            raise _ContractError(
                f"there is no hook {hook_name!r}{_nearest(hook_name, specified)};"
                f" there are {', '.join(specified)}"
            )
        original = inspect.unwrap(function)
        if inspect.iscoroutinefunction(original) or inspect.isasyncgenfunction(original):
            raise _ContractError(f"{name} is an async function; hooks are plain functions")


def _check_registration(registration: Registration[Callable[..., Any]]) -> None:
    # A plugin may have registered values of other types than annotated.
    role = registration.role
    kind: object = registration.kind
    options: object = registration.options
    if not isinstance(kind, str) or not kind:
        raise _ContractError(f"registers a {role} whose kind is {kind!r}, not a name")
    if not (isinstance(options, type) and issubclass(options, Options)):
        raise _ContractError(
            f"{role} kind {kind!r}: its options must be a subclass of wsgw_core.api.Options,"
            f" not {options!r}"
        )
    if not callable(registration.factory):
        raise _ContractError(
            f"{role} kind {kind!r}: its factory {registration.factory!r} is not callable"
        )


def _explain(error: Exception) -> str:
    if isinstance(error, (_ContractError, PluginError, pluggy.PluginValidationError)):
        return " ".join(str(error).split())
    return f"registration failed: {error_text(error)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:_LONGEST_NAME].lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near and near[0] != name else ""


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
