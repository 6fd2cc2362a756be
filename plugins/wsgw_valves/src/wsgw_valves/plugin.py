"""Registers the gates and valves."""

from __future__ import annotations

from wsgw_core.api import GateRegistry, ValveRegistry, hookimpl, per_session

from .access.gate import AccessGate
from .access.settings import AccessSettings
from .actioncable.settings import ActioncableSettings
from .actioncable.valve import ActioncableValve
from .graphql.settings import GraphqlSettings
from .graphql.valve import GraphqlValve
from .headers.gate import HeadersGate
from .headers.settings import HeadersSettings
from .json_schema.settings import JsonSchemaSettings
from .json_schema.valve import JsonSchemaValve
from .jsonrpc.settings import JsonRpcSettings
from .jsonrpc.valve import JsonRpcValve
from .jwt.gate import JwtGate
from .jwt.settings import JwtSettings
from .message_log.settings import MessageLogSettings
from .message_log.valve import MessageLogValve
from .mqtt.settings import MqttSettings
from .mqtt.valve import MqttValve
from .ocpp.settings import OcppSettings
from .ocpp.valve import OcppValve
from .rate_limit.settings import RateLimitSettings
from .rate_limit.valve import RateLimitValve
from .remember.settings import RememberSettings
from .remember.valve import RememberValve
from .socketio.settings import SocketioSettings
from .socketio.valve import SocketioValve
from .stomp.settings import StompSettings
from .stomp.valve import StompValve
from .yjs.settings import YjsSettings
from .yjs.valve import YjsValve

WSGW_API = "1.0"


@hookimpl
def wsgw_register_gates(registry: GateRegistry) -> None:
    """Registers the gates."""
    registry.add("access", AccessSettings, AccessGate)
    registry.add("headers", HeadersSettings, HeadersGate)
    registry.add("jwt", JwtSettings, JwtGate)


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Registers the valves."""
    registry.add(
        "actioncable", ActioncableSettings, per_session(ActioncableValve), needs_connection=True
    )
    registry.add("graphql", GraphqlSettings, GraphqlValve, needs_connection=True)
    registry.add("json-schema", JsonSchemaSettings, JsonSchemaValve)
    registry.add("jsonrpc", JsonRpcSettings, per_session(JsonRpcValve))
    registry.add("message-log", MessageLogSettings, MessageLogValve)
    registry.add("mqtt", MqttSettings, MqttValve, needs_connection=True)
    registry.add("ocpp", OcppSettings, per_session(OcppValve))
    registry.add("rate-limit", RateLimitSettings, RateLimitValve)
    registry.add("remember", RememberSettings, per_session(RememberValve))
    registry.add("socketio", SocketioSettings, SocketioValve, needs_connection=True)
    registry.add("stomp", StompSettings, StompValve, needs_connection=True)
    registry.add("yjs", YjsSettings, per_session(YjsValve))
