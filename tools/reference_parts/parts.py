"""The functions that write the generated parts, by the name of the part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from wsgw_core.metrics.families import FAMILIES, WSBALANCERS

from .configuration import (
    KINDS,
    amqp_backend,
    configuration,
    hash_policy,
    http_backend,
    kind_options,
    redis_backend,
    variables,
    websocket_backend,
)
from .contract import capabilities, contract, ends, errors, exported, hooks, testing_kit
from .metric_tables import counters, families, metrics_of_plugins
from .operation import admin_calls, commands, policy_spread, session_closes, state_diagram, ways

PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "configuration": configuration,
    "amqp-backend": amqp_backend,
    "http-backend": http_backend,
    "websocket-backend": websocket_backend,
    "redis-backend": redis_backend,
    **{f"{kind}-options": partial(kind_options, kind) for kind in KINDS},
    "hash-policy": hash_policy,
    "policy-spread": policy_spread,
    "variables": variables,
    "commands": commands,
    "ways": ways,
    "hooks": hooks,
    "contract": contract,
    "ends": ends,
    "exported": exported,
    "testing-kit": testing_kit,
    "capabilities": capabilities,
    "errors": errors,
    "counters": counters,
    "metrics": lambda: families(FAMILIES),
    "metrics-of-plugins": metrics_of_plugins,
    "wsbalancers-metrics": lambda: families(WSBALANCERS),
    "admin-calls": admin_calls,
    "session-ends": session_closes,
    "state-diagram": state_diagram,
}
