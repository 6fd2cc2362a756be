"""Who may call the admin API, and from where; secrets are never logged."""

from __future__ import annotations

import logging
import socket
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.admin.calls import CALLS
from wsgw_core.config.server_options import AdminOptions
from wsgw_core.testing.running_gateway import RunningGateway

from .admin_operator import NO_ACTION
from .conftest import StartAdmin, StartBackend, StartGateway
from .tls_ends import AUTHORITY, TRUSTING, TlsFiles, client_context

READ, OPERATE, SEND = "r" * 20, "o" * 20, "s" * 20
TOKENS = [
    {"name": "dashboard", "token": READ, "roles": ["read"]},
    {"name": "ops", "token": OPERATE, "roles": ["operate"]},
    {"name": "sender", "token": SEND, "roles": ["send"]},
]
OPEN = ("/healthz", "/readyz", "/metrics")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def path_of(call: Any) -> str:
    return str(call.path).replace("{id}", "nobody")


# Not derived from CALLS: operators rely on what each role may do.
ROLES = {
    "GET /backend/list": "read",
    "POST /backend/add": "operate",
    "GET /backend/config/{id}": "read",
    "POST /backend/disable/{id}": "operate",
    "POST /backend/enable/{id}": "operate",
    "POST /backend/failover/{id}": "operate",
    "POST /backend/drain/{id}": "operate",
    "POST /backend/reset/{id}": "operate",
    "POST /backend/delete/{id}": "operate",
    "GET /session/list": "read",
    "POST /session/abort/{id}": "operate",
    "POST /session/failover/{id}": "operate",
    "POST /session/send/{id}": "send",
    "GET /frontend/list": "read",
    "POST /frontend/pause/{id}": "operate",
    "POST /frontend/resume/{id}": "operate",
    "POST /reload": "operate",
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /metrics": None,
    "GET /openapi.json": "read",
}


class TestTokens:
    def test_each_call_requires_its_documented_role(self) -> None:
        assert {f"{call.method} {call.path}": call.role for call in CALLS} == ROLES

    async def test_without_token_only_health_and_metrics_are_open(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        denied = 0
        for call in CALLS:
            answer = await operator.call(call.method, path_of(call))
            assert answer.status == (200 if call.path in OPEN else 401), call
            if answer.status == 401:
                denied += 1
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="wsgw"'
                assert answer.json["result"] == "failed"
            assert gateway.count("admin_calls_denied") == denied

    @pytest.mark.parametrize(
        "headers",
        [
            bearer("x" * 20),
            bearer(READ[:-1]),
            bearer(f"{READ}r"),
            bearer(""),
            bearer("ü" * 20),
            {"Authorization": f"Basic {READ}"},
            {"Authorization": READ},
            {"Authorization": "Bearer"},
            {"X-Token": READ},
        ],
    )
    async def test_wrong_credentials_are_answered_401(
        self, gateway: RunningGateway, start_admin: StartAdmin, headers: dict[str, str]
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        assert (await operator.call("GET", "/backend/list", headers=headers)).status == 401

    async def test_unknown_and_missing_token_have_different_reasons(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        wrong = await operator.call("GET", "/backend/list", headers=bearer("x" * 20))
        missing = await operator.call("GET", "/backend/list")
        assert wrong.json["reason"] == "unknown token"
        assert missing.json["reason"] == "token missing: send Authorization: Bearer TOKEN"

    async def test_token_in_the_query_is_ignored(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        path = f"/backend/list?token={READ}&access_token={READ}"
        assert (await operator.call("GET", path)).status == 401

    async def test_each_token_may_call_only_what_its_roles_allow(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        granted = {READ: ("read",), OPERATE: ("read", "operate"), SEND: ("send",)}
        for token, roles in granted.items():
            for call in CALLS:
                answer = await operator.call(
                    call.method, path_of(call), headers=bearer(token), data=""
                )
                allowed = call.role is None or call.role in roles
                assert (answer.status == 403) != allowed, (call, token)
                if not allowed:
                    assert call.role in answer.json["reason"]

    async def test_unknown_path_without_token_is_answered_401(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        assert (await operator.call("GET", "/nothing")).status == 401
        assert (await operator.call("GET", "/nothing", headers=bearer(READ))).status == 404

    @pytest.mark.parametrize(
        ("tokens", "problem"),
        [
            ([{"name": "a", "token": "short", "roles": ["read"]}], "at least 16"),
            ([{"name": "a", "token": "with a space in it", "roles": ["read"]}], "at least 16"),
            ([{"name": "a", "token": READ, "roles": []}], "at least 1 item"),
            ([{"name": "a", "token": READ, "roles": ["admin"]}], "'read', 'operate' or 'send'"),
            ([TOKENS[0], {**TOKENS[1], "name": "dashboard"}], "same name"),
            ([TOKENS[0], {**TOKENS[1], "token": READ}], "have the same secret"),
        ],
    )
    def test_invalid_token_option_is_refused_without_showing_it(
        self, tokens: list[dict[str, Any]], problem: str
    ) -> None:
        with pytest.raises(ValueError, match=problem) as caught:
            AdminOptions.model_validate({"tokens": tokens})
        assert READ not in str(caught.value)


class TestAddress:
    async def test_public_address_without_tokens_opens_only_health_and_metrics(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, address="0.0.0.0:0")
        for call in CALLS:
            answer = await operator.call(call.method, path_of(call))
            assert answer.status == (200 if call.path in OPEN else 403), call
            if answer.status == 403:
                assert "server.admin.tokens" in answer.json["reason"]

    async def test_allow_unauthenticated_opens_a_public_address_without_tokens(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, address=":0", allow_unauthenticated=True)
        assert await operator.post("/backend/delete/nobody") == NO_ACTION


class TestBrowsers:
    @pytest.mark.parametrize(
        ("headers", "allowed"),
        [
            ({}, True),
            ({"Origin": "http://evil.example"}, False),
            ({"Origin": "null"}, False),
            ({"Origin": "https://ops.example"}, True),
            ({"Origin": "http://ops.example"}, False),
            ({"Origin": "junk"}, False),
            ({"Sec-Fetch-Site": "cross-site"}, False),
            ({"Sec-Fetch-Site": "same-site"}, False),
            ({"Sec-Fetch-Site": "same-origin"}, True),
            ({"Sec-Fetch-Site": "none"}, True),
            ({"Host": "evil.example"}, False),
            ({"Host": "evil.example:80"}, False),
            ({"Host": "127.0.0.1.evil.example"}, False),
            ({"Host": ""}, False),
            ({"Host": "localhost"}, True),
            ({"Host": "LOCALHOST:1"}, True),
            ({"Host": "[::1]:1"}, True),
            ({"Host": "[::1]"}, True),
            ({"Host": "192.0.2.1:1"}, True),
            ({"Host": "gw.example"}, True),
            ({"Host": "GW.example.:80"}, True),
            ({"Host": "a.gw.example"}, False),
            ({"Host": "a.ops.example"}, True),
            ({"Host": "ops.example"}, False),
            ({"Host": "evil.example", "Origin": "http://evil.example"}, False),
        ],
    )
    async def test_only_allowed_origins_and_hosts_may_call(
        self,
        gateway: RunningGateway,
        start_admin: StartAdmin,
        headers: dict[str, str],
        allowed: bool,
    ) -> None:
        operator = await start_admin(
            gateway,
            allowed_origins=["https://ops.example"],
            allowed_hosts=["gw.example", "*.ops.example"],
        )
        for method, path in (("GET", "/backend/list"), ("POST", "/backend/delete/nobody")):
            answer = await operator.call(method, path, headers=headers)
            assert answer.status == (200 if allowed else 403)
            assert "Access-Control-Allow-Origin" not in answer.headers

    async def test_page_of_the_same_origin_may_call(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway)
        headers = {"Origin": operator.url}
        assert await operator.post("/backend/delete/nobody", headers=headers) == NO_ACTION
        other = {"Origin": f"http://127.0.0.1:{operator.port + 1}"}
        answer = await operator.call("POST", "/backend/delete/nobody", headers=other)
        assert answer.status == 403

    async def test_token_allows_any_host_but_no_foreign_origin(
        self, gateway: RunningGateway, start_admin: StartAdmin
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        named = {**bearer(READ), "Host": "gw.internal"}
        assert (await operator.call("GET", "/backend/list", headers=named)).status == 200
        foreign = {**bearer(READ), "Origin": "http://evil.example"}
        assert (await operator.call("GET", "/backend/list", headers=foreign)).status == 403


class TestTls:
    async def test_admin_api_serves_over_tls(
        self, gateway: RunningGateway, start_admin: StartAdmin, tls_files: TlsFiles
    ) -> None:
        tls = {"certificate": str(tls_files.certificate)}
        operator = await start_admin(gateway, context=TRUSTING, tls=tls)
        assert operator.url.startswith("https:")
        assert await operator.get("/healthz") == {"status": "alive"}
        same_site = {"Origin": operator.url}
        assert await operator.post("/backend/delete/nobody", headers=same_site) == NO_ACTION
        plain = {"Origin": operator.url.replace("https", "http")}
        answer = await operator.call("POST", "/backend/delete/nobody", headers=plain)
        assert answer.status == 403

    async def test_client_certificate_replaces_a_token(
        self,
        gateway: RunningGateway,
        start_admin: StartAdmin,
        tls_files: TlsFiles,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        tls = {
            "certificate": str(tls_files.certificate),
            "client-ca": str(tls_files.authority),
            "client-certificates": "required",
        }
        # all interfaces, no tokens
        ada = client_context(AUTHORITY.issue_cert("ada@example.test", common_name="Ada"))
        operator = await start_admin(gateway, context=ada, tls=tls, address=":0")
        assert await operator.post("/backend/delete/nobody") == NO_ACTION
        assert "by CN=Ada" in caplog.text
        stranger = await start_admin(gateway, context=TRUSTING, tls=tls, address=":0")
        with pytest.raises(aiohttp.ClientError):
            await stranger.get("/healthz")

    @pytest.mark.parametrize("certificates", ["none", "optional"])
    async def test_tls_without_required_client_certificates_does_not_open_a_public_address(
        self,
        gateway: RunningGateway,
        start_admin: StartAdmin,
        tls_files: TlsFiles,
        certificates: str,
    ) -> None:
        tls = {"certificate": str(tls_files.certificate), "client-certificates": certificates}
        if certificates == "optional":
            tls["client-ca"] = str(tls_files.authority)
        operator = await start_admin(gateway, context=TRUSTING, tls=tls, address=":0")
        assert (await operator.call("POST", "/backend/delete/nobody")).status == 403
        assert (await operator.call("GET", "/healthz")).status == 200


class TestAudit:
    async def test_each_action_is_audited(
        self, gateway: RunningGateway, start_admin: StartAdmin, caplog: pytest.LogCaptureFixture
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        caplog.clear()
        await operator.get("/backend/list", headers=bearer(READ))
        await operator.post("/backend/delete/no%0Abody", headers=bearer(OPERATE))
        await operator.call("POST", "/backend/delete/nobody", headers=bearer(READ))
        await operator.post("/session/send/nobody", data="s3cret", headers=bearer(SEND))
        lines = [each.getMessage() for each in caplog.records if each.name == "wsgw.audit"]
        done, denied, sent = lines
        assert sent == (
            'POST /session/send/nobody from 127.0.0.1 by sender: 200 {"result":"failed"}'
        )
        result = '{"result":"success","reason":"NoActionRequired"}'
        assert done == f"POST /backend/delete/no\nbody from 127.0.0.1 by ops: 200 {result}"
        assert denied.startswith("POST /backend/delete/nobody from 127.0.0.1 denied: this token")

    async def test_repeated_denied_calls_are_logged_once(
        self, gateway: RunningGateway, start_admin: StartAdmin, caplog: pytest.LogCaptureFixture
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        for _ in range(20):
            await operator.call("POST", "/backend/delete/x")
        assert sum(each.name == "wsgw.audit" for each in caplog.records) == 1

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PURGE"])
    async def test_denied_call_of_any_method_is_audited_and_shortened(
        self,
        gateway: RunningGateway,
        start_admin: StartAdmin,
        caplog: pytest.LogCaptureFixture,
        method: str,
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        await operator.call(method, "/session/list/" + "x" * 5000)
        [line] = [each.getMessage() for each in caplog.records if each.name == "wsgw.audit"]
        assert line.startswith(f"{method} /session/list/xxx")
        assert line.endswith(
            "from 127.0.0.1 denied: token missing: send Authorization: Bearer TOKEN"
        )
        assert len(line) < 1000

    async def test_denied_action_is_logged_after_many_denied_reads(
        self, gateway: RunningGateway, start_admin: StartAdmin, caplog: pytest.LogCaptureFixture
    ) -> None:
        operator = await start_admin(gateway, tokens=TOKENS)
        for _ in range(20):
            await operator.call("GET", "/session/list")
        await operator.call("POST", "/backend/delete/x")
        lines = [each.getMessage() for each in caplog.records if each.name == "wsgw.audit"]
        assert [text.split(" from ")[0] for text in lines] == [
            "GET /session/list",
            "POST /backend/delete/x",
        ]


SECRET = "s3cr3t-that-nobody-may-see"  # noqa: S105 - a marker


async def test_no_secret_is_logged_or_answered(
    start_gateway: StartGateway,
    start_admin: StartAdmin,
    start_backend: StartBackend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sends secrets in every place and searches all logs and answers for them."""
    caplog.set_level(logging.DEBUG)
    declines = await start_backend(
        process_request=lambda connection, _: connection.respond(403, "")
    )
    blue = await start_backend()
    gateway = await start_gateway({"id": "blue", "url": blue.url})
    tokens = [{"name": "ops", "token": f"{SECRET}-token", "roles": ["operate"]}]
    operator = await start_admin(gateway, tokens=tokens)
    headers = bearer(f"{SECRET}-token") | {"Cookie": f"sid={SECRET}"}
    output: list[str] = []

    async def call(method: str, path: str, **options: Any) -> None:
        answer = await operator.call(method, path, headers=headers, **options)
        output.append(answer.text + str(answer.headers))

    client_headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"sid={SECRET}"}
    target = f"{gateway.url}/chat?token={SECRET}&x={SECRET}"
    async with connect(target, additional_headers=client_headers):
        await blue.connection()
        [row] = await operator.get("/session/list", headers=headers)
        await call("POST", f"/session/abort/{row['id']}")
    async with connect(target, additional_headers=client_headers) as client:
        served = await blue.connection()
        await client.send(SECRET)
        assert await served.recv() == SECRET
        await served.send(SECRET)
        for path in ("/session/list", "/backend/list", "/metrics", "/readyz", "/openapi.json"):
            await call("GET", f"{path}?token={SECRET}")
        await call("POST", f"/backend/failover/blue?token={SECRET}")
        await call("POST", "/backend/add", data=f'{{"url": "ws://u:{SECRET}@a:1", "x": 1}}')
        await call("POST", "/backend/add", data=f'{{"url": "ws://u:{SECRET}@b:1"}}')
        await call("GET", "/backend/config/b-1")
        await call("POST", "/backend/delete/b-1")
        await call("POST", "/backend/add", data=f'{{"url": "{declines.url}", "id": "no"}}')
        await call("POST", "/backend/disable/blue")
        with pytest.raises(InvalidStatus):
            await connect(target, additional_headers=client_headers)
        await blue.down()
        with pytest.raises(InvalidStatus):
            await connect(target, additional_headers=client_headers)
    output += [
        record.getMessage() + str(record.exc_text)
        for record in caplog.records
        if record.name.startswith("wsgw")
    ]
    assert len(output) > 20
    assert not [text for text in output if SECRET in text]


async def test_connections_over_the_limit_wait(
    gateway: RunningGateway, start_admin: StartAdmin
) -> None:
    operator = await start_admin(gateway, max_connections=3, read_timeout=0.3, write_timeout=0.2)
    idle = [socket.create_connection(("127.0.0.1", operator.port)) for _ in range(3)]
    try:
        assert await operator.get("/healthz") == {"status": "alive"}  # when the idle time out
    finally:
        for each in idle:
            each.close()
