"""The keys of the configuration, and the variables that stand for some of them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from wsgw_amqp.settings import AmqpSettings
from wsgw_http.settings import HttpSettings
from wsgw_redis.settings import RedisSettings
from wsgw_valves.access.settings import AccessSettings
from wsgw_valves.actioncable.settings import ActioncableSettings
from wsgw_valves.graphql.settings import GraphqlSettings
from wsgw_valves.headers.settings import HeadersSettings
from wsgw_valves.json_schema.settings import JsonSchemaSettings
from wsgw_valves.jsonrpc.settings import JsonRpcSettings
from wsgw_valves.jwt.settings import JwtSettings
from wsgw_valves.message_log.settings import MessageLogSettings
from wsgw_valves.mqtt.settings import MqttSettings
from wsgw_valves.ocpp.settings import OcppSettings
from wsgw_valves.rate_limit.settings import RateLimitSettings
from wsgw_valves.remember.settings import RememberSettings
from wsgw_valves.socketio.settings import SocketioSettings
from wsgw_valves.stomp.settings import StompSettings
from wsgw_valves.yjs.settings import YjsSettings
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import item_type, model_in
from wsgw_core.config.wsbalancer_variables import (
    ALL_VARIABLES,
    BACKEND_VARIABLES,
    BE_PASS_HEADERS,
    BE_URLS,
)
from wsgw_core.policies import HashOptions

from .meanings import MEANINGS
from .option_text import default_text, type_text

# The gates and valves of wsgw-valves.
KINDS: dict[str, type[BaseModel]] = {
    "access": AccessSettings,
    "actioncable": ActioncableSettings,
    "graphql": GraphqlSettings,
    "headers": HeadersSettings,
    "json-schema": JsonSchemaSettings,
    "jsonrpc": JsonRpcSettings,
    "jwt": JwtSettings,
    "message-log": MessageLogSettings,
    "mqtt": MqttSettings,
    "ocpp": OcppSettings,
    "rate-limit": RateLimitSettings,
    "remember": RememberSettings,
    "socketio": SocketioSettings,
    "stomp": StompSettings,
    "yjs": YjsSettings,
}

# Its sections and lists have the same keys as those of the whole gateway.
ROUTE = "routes[]"


def configuration() -> Iterator[str]:
    """Yields the keys of the configuration, section by section."""
    yield from section_tables(GatewayConfig)


def websocket_backend() -> Iterator[str]:
    """Yields the keys of a backend of kind ws, section by section."""
    yield from section_tables(WebSocketSettings)


def amqp_backend() -> Iterator[str]:
    """Yields the keys of a backend of kind amqp, section by section."""
    yield from section_tables(AmqpSettings)


def http_backend() -> Iterator[str]:
    """Yields the keys of a backend of kind http, section by section."""
    yield from section_tables(HttpSettings)


def redis_backend() -> Iterator[str]:
    """Yields the keys of a backend of kind redis, section by section."""
    yield from section_tables(RedisSettings)


def kind_options(kind: str) -> Iterator[str]:
    """Yields the keys of a gate or valve."""
    yield from key_table([key for _, keys in sections(KINDS[kind]) for key in keys])


def hash_policy() -> Iterator[str]:
    """Yields the keys of the policy hash."""
    yield from key_table([(f"upstream.policy.{key}", field) for key, field in fields(HashOptions)])


def variables() -> Iterator[str]:
    """Yields wsbalancer's variables."""
    yield "| variable | key | type | default | meaning |"
    yield "|---|---|---|---|---|"
    of_backends = {variable.name for variable in (*BACKEND_VARIABLES, BE_PASS_HEADERS)}
    for variable in ALL_VARIABLES:
        key = variable.key
        if variable.name in of_backends:
            key = f"{BE_URLS.key}[].{key}"
        default = f"`{variable.default}`" if variable.default else "none"
        cells = (f"`{variable.name}`", f"`{key}`", variable.type, default, variable.meaning)
        yield f"| {' | '.join(cells)} |"


def section_tables(model: type[BaseModel]) -> Iterator[str]:
    """Yields a headed table of keys for each section."""
    for path, keys in sections(model):
        yield f"### {f'`{path}`' if path else 'Top level'}"
        yield ""
        yield from key_table(keys)
        yield ""


def sections(
    model: type[BaseModel], path: str = ""
) -> Iterator[tuple[str, list[tuple[str, FieldInfo]]]]:
    """Yields each section's path with its keys that are not sections themselves."""
    keys: list[tuple[str, FieldInfo]] = []
    below: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        key = f"{path}.{field.alias or name}".lstrip(".")
        if path == ROUTE:
            keys.append((key, field))
            continue
        if (section := model_in(field.annotation)) is not None:
            below.append((section, key))
            continue
        keys.append((key, field))
        if (item := model_in(item_type(field.annotation))) is not None:
            below.append((item, f"{key}[]"))
    if keys:
        yield path, keys
    for section, key in below:
        yield from sections(section, key)


def key_table(keys: list[tuple[str, FieldInfo]]) -> Iterator[str]:
    """Yields the lines of a table of keys."""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in keys:
        if field.description and key in MEANINGS:
            raise SystemExit(f"make_reference.py: {key} has a description of its own")
        meaning = field.description or MEANINGS[key]
        yield f"| `{key}` | {type_text(field)} | {default_text(field)} | {meaning} |"


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yields the keys of a model that has no sections."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field
