"""The conditions, the inherited options and the rules of routes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from websockets.datastructures import Headers

from wsgw_core.api import normal_path
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.patterns import normal_host
from wsgw_core.config.problems import key_path_text, validation_errors
from wsgw_core.config.route_options import RouteOptions

A, B, C = ({"url": f"ws://{name}:1"} for name in "abc")
TOP = {"upstream": {"backends": [A]}}


def config(*routes: dict[str, Any], **sections: Any) -> GatewayConfig:
    return GatewayConfig.model_validate({"routes": routes, **(sections or TOP)})


def problems(*routes: Any, **sections: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        config(*routes, **sections)
    return [
        f"{key_path_text(path)}: {text}"
        for path, text in validation_errors(caught.value, GatewayConfig)
    ]


class TestConditions:
    def matches(self, route: dict[str, Any], target: str, *fields: tuple[str, str]) -> bool:
        headers = Headers([("Host", "chat.example.com:8080"), *fields])
        options = RouteOptions.model_validate({"id": "r", **route})
        return options.matches(normal_path(target), normal_host(headers["Host"]), headers)

    def test_route_without_conditions_matches_all(self) -> None:
        assert self.matches({}, "/any?thing")

    def test_one_matching_value_is_enough(self) -> None:
        assert self.matches({"paths": ["/a", "/b/**"]}, "/b/c")
        assert self.matches({"hosts": ["a.example", "*.example.com"]}, "/")
        assert not self.matches({"paths": ["/a", "/b/**"]}, "/c")
        assert not self.matches({"hosts": ["a.example", "example.com"]}, "/")

    def test_list_can_be_one_text(self) -> None:
        assert self.matches({"paths": "/a, /b", "hosts": "x, chat.example.com"}, "/b")

    def test_all_conditions_must_match(self) -> None:
        route = {"paths": ["/a"], "hosts": ["chat.example.com"], "headers": {"X-Tenant": "blue"}}
        blue = ("x-tenant", "blue")
        assert self.matches(route, "/a", blue)
        assert not self.matches(route, "/b", blue)
        assert not self.matches(route, "/a")
        assert not self.matches({**route, "hosts": ["example.com"]}, "/a", blue)

    def test_every_header_must_have_its_value(self) -> None:
        route = {"headers": {"X-Tenant": "blue", "X-Test": "*"}}
        assert self.matches(route, "/", ("X-TENANT", "blue"), ("X-Test", ""))
        assert not self.matches(route, "/", ("X-Tenant", "blue"))
        assert not self.matches(route, "/", ("X-Tenant", "Blue"), ("X-Test", "1"))

    def test_one_of_repeated_headers_is_enough(self) -> None:
        route = {"headers": {"X-Tenant": "blue"}}
        assert self.matches(route, "/", ("X-Tenant", "red"), ("X-Tenant", "blue"))
        assert not self.matches(route, "/", ("X-Tenant", "red, blue"))


class TestTakenOver:
    def test_omitted_failover_keys_are_inherited(self) -> None:
        common = FailoverOptions(hold=7, backoff=0.5)
        route = RouteOptions.model_validate(
            {"id": "r", "failover": {"hold": "9s", "enabled": False}}
        )

        own = route.failover_over(common)

        assert (own.hold, own.backoff, own.enabled) == (9, 0.5, False)
        assert (own.stable, common.enabled) == (common.stable, True)

    def test_key_set_to_its_default_overrides_the_gateway(self) -> None:
        route = RouteOptions.model_validate({"id": "r", "failover": {"hold": "30s"}})

        assert route.failover_over(FailoverOptions(hold=7)).hold == 30

    def test_route_without_failover_inherits_all(self) -> None:
        common = FailoverOptions(hold=7)

        assert RouteOptions(id="r").failover_over(common) is common

    def test_each_group_has_failover_options(self) -> None:
        made = config(
            {"id": "own", "paths": ["/a"], "backends": [B], "failover": {"ping-timeout": 1}},
            {"id": "shared", "failover": {"hold": 1}},
            **TOP,
            failover={"ping-timeout": 2, "hold": 3},
        )

        groups = made.groups
        assert list(groups) == ["", "own"]
        assert [(each.ping_timeout, each.hold) for each in groups.values()] == [(2, 3), (1, 3)]

    def test_common_group_is_missing_if_all_routes_have_backends(self) -> None:
        made = config({"id": "own", "backends": [B]}, failover={})

        assert list(made.groups) == ["own"]
        assert list(GatewayConfig.model_validate(TOP).groups) == [""]


class TestRules:
    def test_gateway_without_routes_needs_backends(self) -> None:
        without: list[dict[str, Any]] = [{}, {"upstream": {}}, {"routes": []}, {"routes": None}]
        for data in without:
            with pytest.raises(ValidationError, match="at least 1"):
                GatewayConfig.model_validate(data)

    def test_other_problems_are_reported_with_missing_backends(self) -> None:
        with pytest.raises(ValidationError) as caught:
            GatewayConfig.model_validate({"failover": {"hold": "x"}})
        assert [path for path, _ in validation_errors(caught.value, GatewayConfig)] == [
            ("upstream", "backends"),
            ("failover", "hold"),
        ]

    def test_routes_without_backends_need_backends_of_the_gateway(self) -> None:
        routes = {"id": "a", "paths": ["/a"]}, {"id": "b", "paths": ["/b"], "backends": [B]}
        [problem] = problems(*routes, {"id": "c"}, failover={})
        assert problem == (
            "upstream.backends: needs at least 1, found 0: routes[0], routes[2] use them"
        )

    def test_unused_backends_are_a_problem(self) -> None:
        why = "no route uses this backend: every route has its own 'backends'"
        top = {"upstream": {"backends": [A, {"kind": "ws", "id": "x"}]}}
        assert problems({"id": "a", "backends": [B]}, **top) == [
            f"upstream.backends[0].url: {why}",
            f"upstream.backends[1].id: {why}",
        ]

    def test_duplicate_backend_ids_are_a_problem(self) -> None:
        routes = (
            {"id": "a", "paths": ["/a"], "backends": [B, {**C, "id": "a-1"}]},
            {"id": "b", "paths": ["/b"], "backends": [B]},
            {"id": "c"},
        )
        assert problems(*routes) == [
            "routes[0].backends[1].id: duplicate id 'a-1', also the id of upstream.backends[0]",
            "routes[1].backends[0].url: duplicate id 'b-1', also the id of routes[0].backends[0]",
        ]

    def test_duplicate_route_ids_are_a_problem(self) -> None:
        assert problems({"id": "a", "paths": ["/a"]}, {"id": "a"}) == [
            "routes[1].id: duplicate id 'a', also the id of routes[0]"
        ]

    @pytest.mark.parametrize("everything", [{}, {"paths": ["/x", "/**"]}, {"valves": []}])
    def test_route_after_a_catch_all_is_a_problem(self, everything: Any) -> None:
        routes = {"id": "a", "paths": ["/a"]}, {"id": "b", **everything}, {"id": "c"}, {"id": "d"}
        why = "is never reached: routes[1] matches every request"
        assert problems(*routes) == [f"routes[2]: {why}", f"routes[3]: {why}"]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"paths": ["/a", "/b"]}, {"paths": ["/b", "/a"]}),
            ({"hosts": ["A"]}, {"hosts": ["a"]}),
            ({"headers": {"X-A": "b"}}, {"headers": {"x-a": "b"}}),
        ],
    )
    def test_route_with_the_conditions_of_an_earlier_one_is_a_problem(
        self, first: Any, second: Any
    ) -> None:
        other = {"id": "b", "paths": ["/a"], "hosts": ["a"], "headers": {"X-A": "b"}}

        assert problems({"id": "a", **first}, other, {"id": "c", **second}) == [
            "routes[2]: is never reached: routes[0] has the same conditions"
        ]

    def test_header_values_are_case_sensitive(self) -> None:
        config({"id": "a", "headers": {"X-A": "b"}}, {"id": "b", "headers": {"X-A": "B"}})

    @pytest.mark.parametrize(
        "condition", [{"hosts": ["a"]}, {"headers": {"X-A": "*"}}, {"paths": ["/a/**"]}]
    )
    def test_route_with_a_condition_is_not_a_catch_all(self, condition: Any) -> None:
        config({"id": "a", "paths": ["/**"], **condition}, {"id": "b"})

    def test_group_option_without_own_backends_is_a_problem(self) -> None:
        route = {
            "id": "a",
            "policy": "round-robin",
            "failover": {
                "dial_spacing": 1,
                "max-concurrent-dials": 1,
                "ping-timeout": 1,
                "busy-timeout": 1,
                "hold": 1,
            },
        }
        why = "applies to the backends of a route, but this route has no 'backends' of its own"
        assert problems(route) == [
            f"routes[0].policy: {why}",
            f"routes[0].failover.ping-timeout: {why}",
            f"routes[0].failover.busy-timeout: {why}",
            f"routes[0].failover.max-concurrent-dials: {why}",
            f"routes[0].failover.dial-spacing: {why}",
        ]
        config({**route, "backends": [B]}, failover={})

    @pytest.mark.parametrize(
        ("common", "own"),
        [
            ({}, {}),
            ({"ping-timeout": 90}, {"ping-timeout": 120}),
            ({"busy-timeout": 0}, {"busy-timeout": 0, "ping-timeout": 90}),
            ({"busy-timeout": 5}, {"busy-timeout": 90, "ping-timeout": 90}),
        ],
    )
    def test_busy_timeout_may_equal_ping_timeout_be_0_or_be_omitted(
        self, common: dict[str, Any], own: dict[str, Any]
    ) -> None:
        made = config({"id": "a", "backends": [B], "failover": own}, failover=common)

        assert made.groups["a"].busy_bound >= made.groups["a"].ping_timeout

    @pytest.mark.parametrize(
        ("common", "own", "problem"),
        [
            ({"busy-timeout": 4}, {}, "failover.busy-timeout: busy-timeout (4 s)|(5 s)"),
            (
                {"busy-timeout": 60},
                {"busy-timeout": 3},
                "routes[0].failover.busy-timeout: busy-timeout (3 s)|(5 s)",
            ),
            (
                {"busy-timeout": 60},
                {"ping-timeout": 70},
                "routes[0].failover.ping-timeout: busy-timeout (60 s)|(70 s)",
            ),
        ],
    )
    def test_shorter_busy_timeout_is_reported_where_it_is_set(
        self, common: dict[str, Any], own: dict[str, Any], problem: str
    ) -> None:
        text = (
            problem.replace("|", " is shorter than ping-timeout ") + "; write 0 for the same time"
        )

        assert problems({"id": "a", "backends": [B], "failover": own}, failover=common) == [text]

    def test_all_broken_rules_are_reported_together(self) -> None:
        found = problems(
            {"id": "a"}, {"id": "a", "backends": [A, A]}, {"id": "c", "policy": "round-robin"}
        )
        assert [problem.partition(":")[0] for problem in found] == [
            "routes[1].backends[0].url",
            "routes[1].backends[1].url",
            "routes[1].id",
            "routes[1]",
            "routes[2]",
            "routes[2].policy",
        ]

    @pytest.mark.parametrize(
        ("route", "where"),
        [
            ({}, "routes[0].id"),
            ({"id": "a b"}, "routes[0].id"),
            ({"id": "a", "paths": ["a"]}, "routes[0].paths[0]"),
            ({"id": "a", "hosts": ["*"]}, "routes[0].hosts[0]"),
            ({"id": "a", "headers": {"X A": "b"}}, "routes[0].headers['X A']: found"),
            ({"id": "a", "headers": {"X-A": ""}}, "routes[0].headers.X-A"),
            ({"id": "a", "headers": {"X-A": "ä"}}, "routes[0].headers.X-A"),
            ({"id": "a", "headers": {"X-A": 5}}, "routes[0].headers.X-A"),
            ({"id": "a", "backends": []}, "routes[0].backends"),
            ({"id": "a", "policy": 5}, "routes[0].policy"),
            ({"id": "a", "failover": {"hod": 1}}, "routes[0].failover.hod"),
            ({"id": "a", "valves": [{}]}, "routes[0].valves[0].kind"),
            ({"id": "a", "listeners": []}, "routes[0].listeners"),
        ],
    )
    def test_malformed_option_of_a_route_names_its_place(self, route: Any, where: str) -> None:
        [problem] = problems(route)
        assert problem.startswith(where)
