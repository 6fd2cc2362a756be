"""The clients' request reaches the drilled route, or an error says why not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from wsgw_drill.request import Request, chosen_route, request_for

from wsgw_core.api import ConfigurationError, normal_path
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.patterns import normal_host

URL = "ws://127.0.0.1:8080/drill"


def config(**conditions: dict[str, Any]) -> GatewayConfig:
    """Returns a configuration with the given routes, in order."""
    routes = [{"id": name, **given} for name, given in conditions.items()]
    return GatewayConfig.model_validate(
        {"upstream": {"backends": [{"url": "ws://127.0.0.1:1"}]}, "routes": routes}
    )


def made_up(routes: GatewayConfig, name: str, **given: Any) -> Request:
    route = chosen_route(routes, name)
    assert route is not None
    return request_for(route, routes, URL, Request(**given))


class TestChoice:
    def test_gateway_without_routes_needs_no_choice(self) -> None:
        assert chosen_route(config(), None) is None
        with pytest.raises(
            ConfigurationError, match=r"^unknown route 'a': the file has no routes$"
        ):
            chosen_route(config(), "a")

    def test_only_route_is_chosen_without_name(self) -> None:
        routes = config(a={})
        assert chosen_route(routes, None) is routes.routes[0]
        assert chosen_route(routes, "a") is routes.routes[0]

    def test_several_routes_need_a_name(self) -> None:
        routes = config(a={"paths": ["/a"]}, b={})
        assert chosen_route(routes, "b") is routes.routes[1]
        with pytest.raises(
            ConfigurationError, match=r"^routes: choose one of them with --route: a, b$"
        ):
            chosen_route(routes, None)
        with pytest.raises(ConfigurationError, match=r"^unknown route 'c'; the routes are: a, b$"):
            chosen_route(routes, "c")


class TestMadeUp:
    @pytest.mark.parametrize(
        ("conditions", "found"),
        [
            ({}, Request()),
            ({"paths": ["/chat"]}, Request("/chat")),
            ({"paths": ["/"]}, Request("/")),
            ({"paths": ["/chat/", "/other"]}, Request("/chat/")),
            ({"paths": ["/v*/chat"]}, Request("/vdrill/chat")),
            ({"paths": ["/rooms/*/*.json"]}, Request("/rooms/drill/drill.json")),
            ({"paths": ["/ocpp/**"]}, Request("/ocpp/drill")),
            ({"paths": ["/**/socket"]}, Request("/drill/socket")),
            ({"paths": ["/%61 b/ü%2f%"]}, Request("/a%20b/%C3%BC%2F%25")),
            ({"hosts": ["Chat.example.com"]}, Request(host="chat.example.com")),
            ({"hosts": ["*.example.com"]}, Request(host="drill.example.com")),
            ({"hosts": ["[2001:db8::1]"]}, Request(host="[2001:db8::1]")),
            ({"headers": {"X-Tenant": "blue"}}, Request(headers=(("X-Tenant", "blue"),))),
            ({"headers": {"X-Tenant": "*"}}, Request(headers=(("X-Tenant", "drill"),))),
            ({"headers": {"user-agent": "*", "Upgrade": "websocket"}}, Request()),
        ],
    )
    def test_request_meets_conditions_of_route(
        self, conditions: dict[str, Any], found: Request
    ) -> None:
        routes = config(wanted=conditions)
        request = made_up(routes, "wanted")
        assert request == found
        target, headers = request.as_sent(URL)
        assert routes.routes[0].matches(normal_path(target), normal_host(headers["Host"]), headers)

    @pytest.mark.parametrize(
        ("before", "wanted", "found"),
        [
            ({"paths": ["/x/*"]}, {"paths": ["/x/**"]}, Request("/x/drill/drill")),
            ({"paths": ["/x/**/*"]}, {"paths": ["/x/**"]}, Request("/x")),
            ({"paths": ["/a"]}, {"paths": ["/a", "/b"]}, Request("/b")),
            (
                {"hosts": ["a.example"]},
                {"hosts": ["a.example", "b.example"]},
                Request(host="b.example"),
            ),
            (
                {"paths": ["/a"], "hosts": ["a.example"]},
                {"paths": ["/a"], "hosts": ["a.example", "b.example"]},
                Request("/a", "b.example"),
            ),
            ({"headers": {"X-Tenant": "blue"}}, {"paths": ["/a"]}, Request("/a")),
        ],
    )
    def test_request_avoids_earlier_route(
        self, before: dict[str, Any], wanted: dict[str, Any], found: Request
    ) -> None:
        assert made_up(config(before=before, wanted=wanted), "wanted") == found


class TestGiven:
    def test_given_parts_are_kept_and_others_filled_in(self) -> None:
        routes = config(
            wanted={"paths": ["/a/*"], "hosts": ["*.example"], "headers": {"X-A": "*", "X-B": "1"}}
        )
        request = made_up(routes, "wanted", path="/a/1?b=2", headers=(("x-a", "own"), ("Z", "z")))
        assert request == Request(
            "/a/1?b=2", "drill.example", (("x-a", "own"), ("Z", "z"), ("X-B", "1"))
        )

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"path": "/b"}, "/b at host h.example with X-T reaches no route"),
            ({"host": "other:99"}, "/a/drill at host other:99 with X-T reaches no route"),
            (
                {"headers": (("x-t", "hush"),)},
                "/a/drill at host h.example with x-t reaches no route",
            ),
            ({"path": "/a/taken"}, "/a/taken at host h.example with X-T reaches route before"),
        ],
    )
    def test_request_that_misses_route_raises_reason(
        self, given: dict[str, Any], told: str
    ) -> None:
        wanted = {"paths": ["/a/*"], "hosts": ["h.example"], "headers": {"X-T": "1"}}
        routes = config(before={"paths": ["/a/taken"]}, wanted=wanted)
        line = f"a request for {told}, not route wanted; set --path, --host or --header to reach it"
        with pytest.raises(ConfigurationError, match=f"^{re.escape(line)}$"):
            made_up(routes, "wanted", **given)

    def test_route_shadowed_by_earlier_one_raises_reason(self) -> None:
        routes = config(before={"paths": ["/a*"]}, wanted={"paths": ["/ab"]})
        with pytest.raises(ConfigurationError, match=r"for /ab at .* reaches route before, not"):
            made_up(routes, "wanted")

    def test_secrets_are_not_shown(self) -> None:
        request = Request("/a?token=hush", headers=(("Authorization", "hush"),))
        assert request.shown(URL) == "/a?token=*** at host 127.0.0.1:8080 with Authorization"


@pytest.mark.parametrize(
    ("request_", "uri"),
    [
        (Request(), "wss://u:p@gateway:1/x?y=1"),
        (Request("/a?b=1"), "wss://u:p@gateway:1/a?b=1"),
        (Request("/a"), "wss://u:p@gateway:1/a"),
        (Request(host="h.example"), "wss://u:p@h.example/x?y=1"),
        (Request("/a", "h.example:9"), "wss://u:p@h.example:9/a"),
    ],
)
def test_uri_defaults_to_gateway_url(request_: Request, uri: str) -> None:
    assert request_.uri("wss://u:p@gateway:1/x?y=1") == uri
