"""The gate `jwt`: alone, and in a gateway."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol
from wsgw_valves import plugin
from wsgw_valves.jwt.keys import VerificationKeys
from wsgw_valves.jwt.settings import JwtSettings
from wsgw_valves.jwt.verifier import InvalidToken, Verifier

from wsgw_core.api import (
    ConfigurationError,
    Handshake,
    Headers,
    PluginContext,
    Refusal,
)
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.registered_plugin import RegisteredPlugin
from wsgw_core.testing.samples import samples

from .conftest import StartGateway
from .echo import Echo

SHARED = "a secret that has thirty-two bytes or more"
EC = ECKey.generate_key("P-256", {"kid": "ec"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHER = ECKey.generate_key("P-256", {"kid": "ec"})

# Of secp112r1
UNKNOWN_CURVE = """-----BEGIN PUBLIC KEY-----
MDIwEAYHKoZIzj0CAQYFK4EEAAYDHgAEyJcZY5qCEuXwl+MJ8Qg7DW6PjVFFsBXo
1j9TiQ==
-----END PUBLIC KEY-----
"""


def token(key: Key = EC, alg: str = "ES256", *, kid: str | None = "", **claims: Any) -> str:
    """Returns a token that is valid for a minute."""
    header = {"alg": alg} | ({"kid": kid or str(key.kid)} if kid is not None else {})
    payload = json.dumps({"exp": int(time.time()) + 60, **claims}).encode()
    return sign(payload, header, key)


def sign(payload: bytes, header: dict[str, Any] | None = None, key: Key = EC) -> str:
    """Returns a signed token with any payload."""
    header = header or {"alg": "ES256", "kid": "ec"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of the name EdDSA
        made: str = jws.serialize_compact(header, payload, key, algorithms=[header["alg"]])
    return made


def raw_token(header: bytes, payload: bytes, signature: bytes = b"x") -> str:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload, signature))
    return b".".join(parts).decode()


def jwks(*keys: Key) -> str:
    return json.dumps(KeySet(list(keys)).as_dict())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(jwks(EC, RSA, ED))
    return file


@pytest.fixture
async def context() -> PluginContext:
    return make_plugin_context("jwt")


class Asked:
    """A gate, called like for a client."""

    def __init__(self, gate: Any) -> None:
        self._gate = gate

    async def admit(self, handshake: Handshake) -> Refusal | None:
        refusal = await self._gate.admit(handshake)
        assert refusal is None or isinstance(refusal, Refusal)
        return refusal

    async def bearer(self, text: str) -> int:
        """Returns the status for a token; 101: the token is valid."""
        handshake = Handshake("/", (("Authorization", f"Bearer {text}"),), (), "192.0.2.1:1")
        refusal = await self.admit(handshake)
        return 101 if refusal is None else refusal.status


@pytest.fixture
def ask(file: Path, context: PluginContext) -> Callable[..., Any]:
    """Returns a function that makes an open gate."""

    async def ask(**options: Any) -> Asked:
        options = {key.replace("_", "-"): value for key, value in options.items()}
        options = {"keys-file": str(file), **options}
        gate: Any = RegisteredPlugin(plugin).gate("jwt", options, context)
        await gate.open()
        return Asked(gate)

    return ask


# Signatures


@pytest.mark.parametrize(
    ("key", "alg"),
    [(EC, "ES256"), (RSA, "RS256"), (RSA, "PS256"), (ED, "EdDSA"), (ED, "Ed25519")],
)
async def test_token_with_public_key_is_valid(ask: Callable[..., Any], key: Key, alg: str) -> None:
    gate = await ask(algorithms=[alg])
    assert await gate.bearer(token(key, alg)) == 101
    assert await gate.bearer(token(key, alg, kid=None)) == 101
    assert await gate.bearer(token(key, alg, kid="unknown")) == 401
    assert await gate.bearer(token(key, alg)[:-8] + "AAAAAAAA") == 401


async def test_token_with_shared_secret_is_valid(ask: Callable[..., Any], file: Path) -> None:
    write(file, f"{SHARED}\n")
    gate = await ask(algorithms="HS256,HS512")
    key = OctKey.import_key(SHARED)
    assert await gate.bearer(token(key, "HS256", kid=None)) == 101
    assert await gate.bearer(token(key, "HS512", kid="any")) == 101
    assert await gate.bearer(token(key, "HS384", kid=None)) == 401
    assert await gate.bearer(token(OctKey.import_key(SHARED + "!"), "HS256", kid=None)) == 401


@pytest.mark.parametrize("key", [EC, RSA, ED])
async def test_public_keys_may_be_in_pem(ask: Callable[..., Any], file: Path, key: Any) -> None:
    write(file, OTHER.as_pem(private=False).decode() + key.as_pem(private=False).decode())
    gate = await ask()
    alg = {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}[key.key_type]
    assert await gate.bearer(token(key, alg, kid="any")) == 101
    assert await gate.bearer(token(ECKey.generate_key("P-256"), "ES256", kid="x")) == 401


async def test_key_with_same_id_but_other_value_is_refused(ask: Callable[..., Any]) -> None:
    assert await (await ask()).bearer(token(OTHER)) == 401


@pytest.mark.parametrize(
    ("other", "key", "alg"),
    [
        (OKPKey.generate_key("X25519").as_dict(private=False), ED, "EdDSA"),
        ({**OTHER.as_dict(private=False), "key_ops": ["sign"]}, EC, "ES256"),
        ({**OTHER.as_dict(private=False), "key_ops": []}, EC, "ES256"),
        ({**OTHER.as_dict(private=False), "key_ops": 7}, EC, "ES256"),
    ],
)
async def test_key_that_verifies_nothing_does_not_hide_others(
    ask: Callable[..., Any], file: Path, other: dict[str, Any], key: Key, alg: str
) -> None:
    """None of them has an id, so the gate tries them in the order of the file."""
    good = {**key.as_dict(private=False)}
    for each in (other, good):
        each.pop("kid", None)
    write(file, json.dumps({"keys": [other, good]}))
    assert await (await ask(algorithms=[alg])).bearer(token(key, alg, kid=None)) == 101


async def test_algorithm_none_is_refused(ask: Callable[..., Any]) -> None:
    gate = await ask()
    for alg in ("none", "None", "NONE", "nOnE"):
        made = raw_token(json.dumps({"alg": alg}).encode(), b'{"exp": 99999999999}', b"")
        assert await gate.bearer(made) == 401
    with pytest.raises(ConfigurationError, match=r"algorithms\[0\]: "):
        await ask(algorithms=["none"])


async def test_public_key_as_hmac_secret_is_refused(ask: Callable[..., Any], file: Path) -> None:
    """A known attack: HS256 with the text of the public key as the secret."""
    gate = await ask()
    pem = RSA.as_pem(private=False)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').rstrip(b"=")
    signed = header + b"." + base64.urlsafe_b64encode(b'{"exp":99999999999}').rstrip(b"=")
    made = base64.urlsafe_b64encode(hmac.new(pem, signed, hashlib.sha256).digest()).rstrip(b"=")
    assert await gate.bearer((signed + b"." + made).decode()) == 401
    write(file, pem.decode())
    with pytest.raises(ConfigurationError, match="none of its 1 keys is for HS256"):
        await ask(algorithms=["HS256"])


# Claims


@pytest.mark.parametrize(
    ("options", "claims", "status"),
    [
        ({}, {}, 101),
        ({}, {"exp": 1}, 401),
        ({}, {"exp": None}, 401),
        ({}, {"exp": "tomorrow"}, 401),
        ({}, {"exp": True}, 401),
        ({"require_expiry": False}, {"exp": None}, 401),
        ({}, {"nbf": int(time.time()) + 3600}, 401),
        ({}, {"nbf": int(time.time()) + 1800, "iat": int(time.time()) + 1800}, 401),
        ({"leeway": "1h"}, {"nbf": int(time.time()) + 1800, "exp": int(time.time()) - 60}, 101),
        ({"issuers": ["a", "b"]}, {"iss": "b"}, 101),
        ({"issuers": ["a", "b"]}, {"iss": "c"}, 401),
        ({"issuers": ["a", "b"]}, {"iss": ["a"]}, 401),
        ({"issuers": ["a"]}, {}, 401),
        ({"audiences": ["chat"]}, {"aud": "chat"}, 101),
        ({"audiences": ["chat"]}, {"aud": ["mail", "chat"]}, 101),
        ({"audiences": ["chat"]}, {"aud": ["mail"]}, 401),
        ({"audiences": ["chat"]}, {"aud": {"chat": 1}}, 401),
        ({"audiences": ["chat"]}, {}, 401),
        ({"scopes": ["a", "b"]}, {"scope": "b c a"}, 101),
        ({"scopes": ["a", "b"]}, {"scp": ["a", "b"]}, 101),
        ({"scopes": ["a", "b"]}, {"scope": "a"}, 403),
        ({"scopes": ["a"]}, {"scope": 7}, 403),
        ({"scopes": ["a"]}, {"scp": [["a"], {}]}, 403),
        ({"scopes": ["a"]}, {}, 403),
    ],
)
async def test_claims_decide_whether_token_is_valid(
    ask: Callable[..., Any], options: dict[str, Any], claims: dict[str, Any], status: int
) -> None:
    assert await (await ask(**options)).bearer(token(**claims)) == status


async def test_token_without_expiry_is_valid_if_configured(ask: Callable[..., Any]) -> None:
    made = sign(b"{}")
    assert await (await ask(require_expiry=False)).bearer(made) == 101
    assert await (await ask()).bearer(made) == 401


async def test_claims_become_headers_and_replace_those_of_client(ask: Callable[..., Any]) -> None:
    gate = await ask(
        claims={
            "X-User": "sub",
            "X-Roles": "/realm~1x/roles",
            "X-Admin": "admin",
            "X-Level": "level",
            "X-None": "missing",
            "X-Url": "https://example.com/tenant",
        }
    )
    claims: dict[str, Any] = {
        "sub": "grüße",
        "realm/x": {"roles": ["a", "b"]},
        "admin": True,
        "level": 7,
        "https://example.com/tenant": "acme",
    }
    handshake = Handshake(
        "/",
        (
            ("Authorization", f"bearer  {token(**claims)}"),
            ("x-none", "forged"),
            ("X_User", "forged"),
            ("X-Other", "1"),
        ),
        (),
        "192.0.2.1:1",
    )
    assert await gate.admit(handshake) is None
    assert handshake.headers == (
        ("X-Other", "1"),
        ("X-User", "grüße".encode().decode("latin-1")),
        ("X-Roles", "a,b"),
        ("X-Admin", "true"),
        ("X-Level", "7"),
        ("X-Url", "acme"),
    )


@pytest.mark.parametrize(
    "value",
    [
        *("a\r\nX-Admin: 1", "a\0", "\ud800", "x" * 5000, {"a": 1}, [["a"]], ["a,b"], [None]),
        *(" admin", "admin ", "\u00a0admin", "admin\u2003", " ", ["user", " admin"]),
    ],
)
async def test_claim_that_fits_no_header_is_refused(ask: Callable[..., Any], value: object) -> None:
    gate = await ask(claims={"X-User": "user"})
    payload = json.dumps({"exp": int(time.time()) + 60, "user": value}).encode()
    assert await gate.bearer(sign(payload)) == 401


# Where tokens are


@pytest.mark.parametrize(
    ("path", "headers", "offers", "left"),
    [
        ("/a?b=1&token=T&c=2", (), (), ("/a?b=1&c=2", (), ())),
        ("/a?t%6fken=T", (), (), ("/a", (), ())),
        ("/a", (("Cookie", "a=1; token=T; b=2"),), (), ("/a", (("Cookie", "a=1; b=2"),), ())),
        ("/a", (("cookie", "token=T"),), (), ("/a", (), ())),
        ("/a", (("Cookie", "token=T; b=\xc3\xa0"),), (), ("/a", (("Cookie", "b=\xc3\xa0"),), ())),
        ("/a", (("X-Token", "T"),), (), ("/a", (), ())),
        ("/a", (("X-Token", "Bearer T"),), (), ("/a", (), ())),
        ("/a", (), ("chat", "bearer.T"), ("/a", (), ("chat",))),
    ],
)
async def test_token_is_found_and_removed_for_backend(
    ask: Callable[..., Any],
    path: str,
    headers: Headers,
    offers: tuple[str, ...],
    left: tuple[str, Headers, tuple[str, ...]],
) -> None:
    places = ["header.X-Token", "query.token", "cookie.token", "subprotocol.bearer."]
    made = token()

    def with_token(text: str) -> str:
        return text.replace("T", made) if text != "X-Token" else text

    def handshake() -> Handshake:
        return Handshake(
            with_token(path),
            tuple((name, with_token(value)) for name, value in headers),
            tuple(map(with_token, offers)),
            "192.0.2.1:1",
        )

    asked = handshake()
    assert await (await ask(token_from=places)).admit(asked) is None
    assert (asked.path, asked.headers, asked.subprotocols) == left
    asked = handshake()
    assert await (await ask(token_from=places, forward_token=True)).admit(asked) is None
    assert asked == handshake()


@pytest.mark.parametrize(
    ("path", "headers", "offers"),
    [
        ("/", (), ()),
        ("/", (("Authorization", "Basic dTpw"),), ()),
        ("/", (("Authorization", "Bearer"),), ()),
        ("/", (("Authorization", "Bearer a"), ("Authorization", "Bearer b")), ()),
        ("/?token=a&token=b", (), ()),
        ("/?token=%ff", (), ()),
        ("/?token=", (), ()),
        ("/", (), ("bearer.",)),
        ("/", (), ("bearer.a", "bearer.b")),
    ],
)
async def test_client_without_token_gets_challenge_without_error(
    ask: Callable[..., Any],
    path: str,
    headers: Headers,
    offers: tuple[str, ...],
    context: PluginContext,
) -> None:
    places = ["header.Authorization", "query.token", "subprotocol.bearer."]
    gate = await ask(token_from=places, realm="a realm")
    refusal = await gate.admit(Handshake(path, headers, offers, "192.0.2.1:1"))
    assert refusal == Refusal(
        401, (("WWW-Authenticate", 'Bearer realm="a realm"'),), b"a token is required\n"
    )
    assert samples(context.metrics)['wsgw_jwt_refused_total{reason="missing"}'] == 1


async def test_challenge_names_the_error(ask: Callable[..., Any]) -> None:
    gate = await ask(scopes=["chat", "read"])

    async def challenge(text: str) -> str:
        refusal = await gate.admit(
            Handshake("/", (("Authorization", f"Bearer {text}"),), (), "192.0.2.1:1")
        )
        return str(dict(refusal.headers)["WWW-Authenticate"])

    assert await challenge(token(exp=1)) == (
        'Bearer realm="wsgw", error="invalid_token", error_description="the token has expired"'
    )
    assert await challenge(token()) == (
        'Bearer realm="wsgw", error="insufficient_scope",'
        ' error_description="the token lacks a scope", scope="chat read"'
    )


# Hostile tokens and files

DEEP = b"[" * 3000


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@example(raw_token(b'{"alg":"ES256","x":' + DEEP, b"{}"))
@example(raw_token(b'{"alg":"ES256","kid":["ec"]}', DEEP))
@example(raw_token(b'{"alg":["ES256"]}', b"{}"))
@example(raw_token(b'{"alg":{"a":1}}', b"{}"))
@example(raw_token(b'{"alg":"ES256","kid":"ec","crit":["x"]}', b"{}"))
@example(raw_token(b'{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}', b"{}"))
@example(raw_token(b'{"alg":"ES256","kid":"ec","jwk":7}', b"{}"))
@example(raw_token(b"[]", b"{}"))
@example(raw_token(b'"alg"', b"{}"))
@example(raw_token(b"{}", b"{}"))
@example(raw_token(b'{"alg":"RS256","kid":"rsa"}', b"{}", b"x" * 256))
@example(raw_token(b'{"alg":"EdDSA","kid":"ed"}', b"{}", b"x" * 64))
@example("." * 8000)
@example("...")
@example("a.b.c.d.e")
@example("\u00ff.\u00ff.\u00ff")
@example("x" * 100_000)
@given(
    st.one_of(
        st.text(max_size=200),
        st.builds(
            raw_token, st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60)
        ),
        st.builds(
            lambda header, payload: raw_token(
                json.dumps({"alg": "ES256", "kid": "ec", **header}).encode(),
                json.dumps(payload).encode(),
            ),
            st.dictionaries(
                st.sampled_from(["alg", "kid", "crit", "b64", "typ", "cty", "jwk", "x5c", "zip"]),
                st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.text(max_size=3)),
            ),
            st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)),
        ),
    )
)
def test_any_text_as_token_is_refused(text: str) -> None:
    options = JwtSettings.model_validate({"keys-file": "x", "algorithms": "ES256,RS256,EdDSA"})
    keys = VerificationKeys([EC, RSA, ED])
    with pytest.raises(InvalidToken):
        Verifier(options).verify(text, keys)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"7",
        b"[]",
        b"{",
        DEEP,
        b'{"exp":NaN}',
        b'{"exp":1e999}',
        b'{"exp":' + b"9" * 5000 + b"}",
        b'{"exp":99999999999,"iss":{}}',
        b'{"exp":99999999999,"sub":[]}',
        b"\xff",
    ],
)
async def test_signed_but_invalid_claims_are_refused(
    ask: Callable[..., Any], payload: bytes
) -> None:
    assert await (await ask()).bearer(sign(payload)) == 401


async def test_token_without_key_id_is_tried_with_few_keys(
    ask: Callable[..., Any], file: Path
) -> None:
    numbered = ECKey.generate_key("P-256").as_dict()
    many = {"keys": [{**numbered, "kid": str(number)} for number in range(1000)]}
    write(file, json.dumps(many))
    gate = await ask()
    made = token(kid=None)
    begin = time.thread_time()
    for _ in range(10):
        assert await gate.bearer(made) == 401
    assert time.thread_time() - begin < 2


@pytest.mark.parametrize(
    ("content", "algorithms", "problem"),
    [
        (None, "ES256", "No such file"),
        ("", "ES256", "no public key: it is neither a JWKS nor PEM"),
        ("some secret that is long enough to be one", "ES256", "no public key"),
        ("short", "HS256", "secret shorter than 32 bytes"),
        ("{", "ES256", "not valid JSON"),
        ('{"keys": {}}', "ES256", "'keys' of a JWKS must be a list"),
        ('{"keys": []}', "ES256", "none of its 0 keys is for ES256"),
        (
            '{"keys": [7, null, {"kty": 7}, {"kty": "EC"}]}',
            "ES256",
            "none of its 0 keys is for ES256",
        ),
        (
            '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
            "RS256",
            "none of its 0 keys is for RS256",
        ),
        ('{"keys": [{"kty": "oct", "k": "AQAB"}]}', "HS256", "none of its 0 keys is for HS256"),
        ('{"a":' + "[" * 100_000, "ES256", "not valid JSON"),
        (jwks(RSA), "ES256", "none of its 1 keys is for ES256"),
        (jwks(EC), "ES384", "none of its 1 keys is for ES384"),
        (
            json.dumps({"keys": [{**EC.as_dict(), "use": "enc"}]}),
            "ES256",
            "none of its 0 keys is for ES256",
        ),
        (
            json.dumps({"keys": [{**EC.as_dict(), "alg": "ES384"}]}),
            "ES256",
            "none of its 1 keys is for ES256",
        ),
        ('{"keys": [' + ",".join(["{}"] * 10_000) + "]}", "ES256", "10000 keys, more than 1000"),
        ("x" * 1_100_000, "ES256", "larger than 1048576 bytes"),
        (EC.as_pem(private=True).decode(), "ES256", "has a private key"),
        (json.dumps({"keys": [EC.as_dict(private=True)]}), "ES256", "has a private key"),
        (json.dumps(RSA.as_dict(private=True)), "RS256", "has a private key"),
        (UNKNOWN_CURVE, "ES256", "has an unreadable public key in PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "ES256", "unreadable"),
    ],
)
async def test_file_without_usable_key_is_refused(
    ask: Callable[..., Any], file: Path, content: str | None, algorithms: str, problem: str
) -> None:
    write(file, content)
    with pytest.raises(ConfigurationError, match=f"keys-file: {file}: .*{problem}"):
        await ask(algorithms=algorithms)


def write(file: Path, content: str | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(content)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keys-file": ""}, "keys-file: "),
        ({"algorithms": "HS256,RS256"}, "mixes HS... with others"),
        ({"algorithms": "XX256"}, r"algorithms\[0\]: .*Ed448"),
        ({"token-from": "body.token"}, "unknown place 'body.token'. Use header.NAME"),
        ({"token-from": "query."}, r"token-from\[0\]: "),
        ({"token-from": "path.1"}, r"token-from\[0\]: .*unknown place"),
        ({"token-from": "subprotocol."}, "not a prefix of a subprotocol"),
        ({"realm": 'a"b'}, "realm: .*without quotation marks"),
        ({"scopes": ["a b"]}, r"scopes\[0\]: "),
        ({"claims": {"X-A": ""}}, "at least 1 character"),
        ({"claims": {"X-A": "/"}}, "without a claim"),
        ({"claims": {"X-A": "a\nb"}}, "invisible characters"),
        ({"issuers": ["a", ""]}, r"issuers\[1\]: "),
        ({"audiences": ["a\nb"]}, r"audiences\[0\]: .*invisible characters"),
        ({"claims": {"X A": "sub"}}, "the name of a header"),
        ({"claims": {"Host": "sub"}}, "the gateway sets this header itself"),
        ({"claims": {"x_wsgw_session": "sub"}}, "the gateway sets this header itself"),
        ({"claims": {"X-User": "sub", "x_user": "email"}}, "are the same header"),
        ({"token-from": "header.Host"}, "gates do not see this header"),
        ({"token-from": "header.Sec-WebSocket-Protocol"}, "gates do not see this header"),
        ({"leeway": "2h"}, "leeway: "),
        ({"max-token": "1MiB"}, "max-token: "),
    ],
)
def test_invalid_options_are_refused(
    context: PluginContext, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        RegisteredPlugin(plugin).gate("jwt", {"keys-file": "keys", **options}, context)


async def test_changed_keys_apply_and_vanished_file_keeps_old_keys(
    file: Path, context: PluginContext, caplog: pytest.LogCaptureFixture
) -> None:
    class Clock:
        now = 0.0

        def time(self) -> float:
            self.now += 20
            return self.now

    clock: Any = Clock()
    gate: Any = RegisteredPlugin(plugin).gate(
        "jwt", {"keys-file": str(file)}, replace(context, clock=clock)
    )
    await gate.open()
    asked = Asked(gate)
    assert await asked.bearer(token()) == 101
    write(file, jwks(OTHER))
    assert await asked.bearer(token()) == 401
    assert await asked.bearer(token(OTHER)) == 101
    for content in (None, "{", "x" * 1_100_000):
        write(file, content)
        assert await asked.bearer(token(OTHER)) == 101
        assert samples(context.metrics)["wsgw_jwt_keys_stale"] == 1
    assert "stays in use" in caplog.text
    write(file, jwks(EC))
    assert await asked.bearer(token()) == 101
    assert samples(context.metrics)["wsgw_jwt_keys_stale"] == 0


# In a gateway


async def test_browser_sends_token_as_subprotocol(
    start_gateway: StartGateway, echo: Echo, file: Path, refused: Callable[..., Any]
) -> None:
    gateway = await start_gateway(
        gates=[
            {
                "kind": "jwt",
                "keys-file": str(file),
                "token-from": ["subprotocol.bearer.", "query.access_token"],
                "claims": {"X-User": "sub"},
                "audiences": ["chat"],
            }
        ]
    )
    for made in ("nonsense", token(aud="mail"), token(OTHER, aud="chat")):
        offers = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{made}")]
        answer = await refused(gateway.url, subprotocols=offers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith(
            'Bearer realm="wsgw", error="invalid_token"'
        )
    assert not echo.requests

    made = token(aud="chat", sub="station-7")
    offers = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{made}")]
    async with connect(f"{gateway.url}/a?b=1", subprotocols=offers) as client:
        assert client.subprotocol == "chat.v1"
        await client.send("hello")
        assert await client.recv() == "hello"
    async with connect(f"{gateway.url}/a?b=1&access_token={made}") as client:
        await client.send("hello")
        assert await client.recv() == "hello"
    assert [request.headers["X-User"] for request in echo.requests] == ["station-7"] * 2
    assert [request.path for request in echo.requests] == ["/a?b=1"] * 2
    assert all(made not in str(request) for request in echo.requests)


async def test_claims_fill_templates_of_bridges(
    start_gateway: StartGateway, file: Path, echo: Echo
) -> None:
    """The policy `hash` also uses the room in the token."""
    gateway = await start_gateway(
        gates=[
            {"kind": "jwt", "keys-file": str(file), "claims": {"X-Tenant": "/org/id"}},
            {
                "kind": "access",
                "rules": [{"action": "allow", "headers": {"X-Tenant": "acme"}}],
            },
        ]
    )
    headers = {"Authorization": f"Bearer {token(org={'id': 'acme'})}"}
    async with connect(gateway.url, additional_headers=headers):
        pass
    async with asyncio.timeout(60):
        while not echo.requests:  # noqa: ASYNC110 - the echo tells nobody
            await asyncio.sleep(0.01)
    assert "Authorization" not in echo.requests[0].headers
