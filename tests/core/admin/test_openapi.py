"""The description of the admin API says of each call who may call it and what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from wsgw_core.admin.calls import CALLS, Call
from wsgw_core.admin.openapi import openapi


def described(call: Call) -> dict[str, Any]:
    operation: dict[str, Any] = openapi()["paths"][call.path][call.method.lower()]
    return operation


each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)


@each_call
def test_a_call_with_a_role_needs_a_token_of_it_and_may_be_denied(call: Call) -> None:
    operation = described(call)
    denied = {"401", "403"} & operation["responses"].keys()
    if call.role is None:
        assert operation["security"] == [{}]
        assert not denied
    else:
        assert operation["security"] == [{"token": [call.role]}, {}]
        assert denied == {"401", "403"}


@each_call
def test_only_actions_refuse_requests_and_only_the_health_is_not_ready(call: Call) -> None:
    refusals = described(call)["responses"].keys() - {"200", "401", "403"}
    expected = {"400", "413", "501"} if call.method == "POST" else set()
    if call.answer == "health":
        expected.add("503")
    assert refusals == expected


@each_call
def test_an_id_in_the_path_is_a_required_parameter(call: Call) -> None:
    parameters = described(call).get("parameters", [])
    if "{id}" in call.path:
        (parameter,) = parameters
        assert (parameter["name"], parameter["in"], parameter["required"]) == ("id", "path", True)
    else:
        assert parameters == []


@each_call
def test_answers_are_json_but_for_the_metrics(call: Call) -> None:
    (media_type,) = described(call)["responses"]["200"]["content"]
    assert media_type == ("text/plain" if call.path == "/metrics" else "application/json")


@each_call
def test_actions_answer_with_a_result(call: Call) -> None:
    (answer,) = described(call)["responses"]["200"]["content"].values()
    is_result = answer == {"schema": {"$ref": "#/components/schemas/Result"}}
    assert is_result is (call.answer == "action")


def test_calls_with_a_body_require_it() -> None:
    bodies = {call.name: described(call).get("requestBody") for call in CALLS}
    required = {name for name, body in bodies.items() if body and body["required"]}
    assert required == {"backends.add", "sessions.send"}


def test_a_result_has_no_other_properties_and_lists_of_objects_require_all() -> None:
    description = openapi()
    assert description["components"]["schemas"]["Result"]["additionalProperties"] is False
    answer = description["paths"]["/backend/list"]["get"]["responses"]["200"]
    items = answer["content"]["application/json"]["schema"]["items"]
    assert items["required"] == list(items["properties"])


def test_listed_values_are_texts_conditions_or_counts() -> None:
    answer = openapi()["paths"]["/backend/list"]["get"]["responses"]["200"]
    properties = answer["content"]["application/json"]["schema"]["items"]["properties"]
    assert properties["id"] == {"type": "string"}
    assert properties["enabled"] == {"type": "boolean"}
    assert properties["activeConnections"] == {"type": "integer", "minimum": 0}
