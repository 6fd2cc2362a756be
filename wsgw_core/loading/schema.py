"""The JSON schema of the configuration, with the options of plugins."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ..api import Options
from ..api.registry import Registration, Registry
from ..config.address import Address
from ..config.gateway_config import GatewayConfig
from ..config.secrets import secret_keys
from ..config.upstream_options import BackendEntry, Entry, PluginEntry, PolicyEntry, ValveEntry
from ..plugins.loader import Plugins

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/"


def config_schema(plugins: Plugins) -> dict[str, Any]:
    """Returns the JSON schema of a configuration file, with keys written with dashes.

    Args:
        plugins: the plugins whose options the entries can have.
    """
    roles: tuple[tuple[type[Entry], Registry[Any]], ...] = (
        (BackendEntry, plugins.backends),
        (ValveEntry, plugins.valves),
        (PluginEntry, plugins.listeners),
        (PluginEntry, plugins.gates),
        (PolicyEntry, plugins.policies),
    )
    models: dict[type[Options], None] = {GatewayConfig: None}
    models |= {one.options: None for _, registry in roles for one in registry}
    references, schema = models_json_schema(
        [(model, "validation") for model in models], schema_generator=_Generator
    )
    definitions = schema["$defs"]
    for entry, registry in roles:
        kinds: list[dict[str, Any] | bool] = []
        for one in registry:
            name = references[one.options, "validation"]["$ref"].removeprefix(_REF)
            kinds.append(_kind(definitions[entry.__name__], definitions[name], one))
        definitions[f"{registry.role}-entry"] = {"anyOf": kinds or [False]}
    top = definitions.pop(references[GatewayConfig, "validation"]["$ref"].removeprefix(_REF))
    definitions["UpstreamOptions"]["properties"]["backends"]["items"] = _ref("backend")
    # an entry that is only the name of a kind
    definitions["policy-entry"]["anyOf"].append({"enum": list(plugins.policies.kinds())})
    definitions["UpstreamOptions"]["properties"]["policy"] = _ref("policy")
    for role in ("valve", "listener", "gate"):
        top["properties"][f"{role}s"]["items"] = _ref(role)
    _complete_routes(definitions)
    for unused in {entry.__name__ for entry, _ in roles}:
        del definitions[unused]
    return {"$schema": _DIALECT, **top, "title": "wsgw", "$defs": dict(sorted(definitions.items()))}


def _complete_routes(definitions: dict[str, Any]) -> None:
    """Completes the schema of routes: their entries, and no defaults of their own."""
    route = definitions["RouteOptions"]["properties"]
    for role in ("backend", "valve", "gate"):
        route[f"{role}s"]["anyOf"][0]["items"] = _ref(role)
    route["policy"]["anyOf"][0] = _ref("policy")
    failover = deepcopy(definitions["FailoverOptions"])
    for key in failover["properties"].values():
        key.pop("default", None)
    definitions["route-failover"] = failover
    route["failover"]["anyOf"][0] = {"$ref": f"{_REF}route-failover"}


def _ref(role: str) -> dict[str, str]:
    return {"$ref": f"{_REF}{role}-entry"}


def _kind(
    entry: dict[str, Any], options: dict[str, Any], registration: Registration[Any]
) -> dict[str, Any]:
    """Returns the schema of an entry of one kind: the core's keys and the plugin's."""
    kind = registration.kind
    schema = {
        **options,
        "title": f"{registration.role} of kind {kind}",
        "properties": {
            **entry["properties"],
            **options["properties"],
            "kind": {"const": kind},
        },
    }
    if "url" not in entry["properties"]:
        schema["required"] = ["kind", *options.get("required", ())]
        return schema
    schemes = "|".join(map(re.escape, dict.fromkeys((kind, *registration.schemes))))
    by_scheme = {
        "required": ["url"],
        "properties": {"url": {"pattern": rf"^(?:dns\+)?(?:{schemes}):"}},
    }
    # The schema cannot check a URL that is in a file.
    choices = [{"required": ["kind"]}, by_scheme, {"required": ["url-file"]}]
    schema["allOf"] = [*options.get("allOf", ()), {"anyOf": choices}]
    return schema


class _Generator(GenerateJsonSchema):
    """Adds what the loader also accepts: lists as text, `true` for a section, secrets in files."""

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        return _or_text(super().tuple_schema(schema))

    def list_schema(self, schema: core_schema.ListSchema) -> JsonSchemaValue:
        return _or_text(super().list_schema(schema))

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        json_schema = super().model_schema(schema)
        model = schema["cls"]
        properties = json_schema["properties"]
        for key in secret_keys(model) if issubclass(model, Options) else ():
            file = f"{key}-file"
            properties[file] = {"type": "string", "description": f"file with the value of `{key}`"}
            if key in json_schema.get("required", ()):
                json_schema["required"].remove(key)
                either = {"anyOf": [{"required": [key]}, {"required": [file]}]}
                json_schema.setdefault("allOf", []).append(either)
        if "enabled" in properties:
            json_schema["type"] = ["object", "boolean"]
        return json_schema

    def encode_default(self, dft: Any) -> Any:
        # The serializer of a NamedTuple would make a list of an address.
        return str(dft) if isinstance(dft, Address) else super().encode_default(dft)


def _or_text(schema: JsonSchemaValue) -> JsonSchemaValue:
    if "$ref" in schema.get("items", {}):
        return schema  # a list of sections
    return {"anyOf": [schema, {"type": "string"}]}
