"""TLS to backends: options, unusable files, and reading them again."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from wsgw_core.api import ClientTls, ConfigurationError, Metrics, TlsClientOptions, tls_error_text
from wsgw_core.api.tls import ReloadedContext, TlsFileError, client_context, reload_counters
from wsgw_core.testing.context import make_context
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

AUTHORITY = trustme.CA()
ONE = AUTHORITY.issue_cert("one.test")
OTHER = AUTHORITY.issue_cert("other.test")


async def at_once(call: Callable[[], object]) -> object:
    """Replaces `run_in_thread` on a virtual clock."""
    return call()


@dataclass(frozen=True)
class Files:
    """PEM files in the test's folder."""

    folder: Path

    def put(self, name: str, content: bytes) -> str:
        file = self.folder / name
        file.write_bytes(content)
        return str(file)

    def pipe(self) -> str:
        os.mkfifo(file := self.folder / "pipe")
        return str(file)

    @property
    def ca(self) -> str:
        return self.put("ca.pem", AUTHORITY.cert_pem.bytes())

    def certificate(self, leaf: trustme.LeafCert = ONE) -> str:
        return self.put("cert.pem", b"".join(pem.bytes() for pem in leaf.cert_chain_pems))

    def key(self, leaf: trustme.LeafCert = ONE) -> str:
        return self.put("key.pem", leaf.private_key_pem.bytes())

    def encrypted_key(self, password: bytes) -> str:
        key = serialization.load_pem_private_key(ONE.private_key_pem.bytes(), None)
        return self.put(
            "key.pem",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password),
            ),
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def options(**given: Any) -> TlsClientOptions:
    return TlsClientOptions.model_validate({key.replace("_", "-"): given[key] for key in given})


class TestContext:
    def test_by_default_certificate_and_name_are_verified(self) -> None:
        context = client_context(options())
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION

    def test_a_configured_authority_replaces_those_of_the_system(self, files: Files) -> None:
        (trusted,) = client_context(options(ca=files.ca)).get_ca_certs()
        assert "trustme" in str(trusted["subject"])

    def test_verification_can_be_switched_off(self) -> None:
        context = client_context(options(verify=False))
        assert context.verify_mode is ssl.CERT_NONE
        assert not context.check_hostname

    def test_the_minimum_version_can_be_raised(self) -> None:
        context = client_context(options(minimum_version="1.3"))
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3

    def test_key_and_certificate_may_be_in_one_file(self, files: Files) -> None:
        both = files.put("both.pem", ONE.private_key_and_cert_chain_pem.bytes())
        client_context(options(certificate=both))

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nsomething else\n"])
    def test_a_key_may_have_a_password(self, files: Files, end: bytes) -> None:
        client_context(
            options(
                certificate=files.certificate(),
                key=files.encrypted_key(b"correct horse"),
                key_password_file=files.put("password", b"correct horse" + end),
            )
        )


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"key": "key.pem"}, "need a 'certificate'"),
        ({"key-password-file": "password"}, "need a 'certificate'"),
        ({"ca": "ca.pem", "verify": False}, "'ca' has no effect"),
        ({"ca": ""}, "ca"),
        ({"minimum-version": "1.1"}, "minimum-version"),
        ({"server-name": ""}, "not a host name"),
        ({"server-name": ".test"}, "not a host name"),
        ({"server-name": "a\0b"}, "not a host name"),
        ({"server-name": "a\nb"}, "not a host name"),
        ({"server-name": "a" * 64 + ".test"}, "not a host name"),
        ({"certificat": "cert.pem"}, "certificat"),
    ],
)
def test_invalid_options_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TlsClientOptions.model_validate(given)


@pytest.mark.parametrize("name", ["one.test", "127.0.0.1", "::1", "bücher.example", "a_b.test"])
def test_valid_server_names_are_accepted(name: str) -> None:
    assert options(server_name=name).server_name == name


class TestFiles:
    @pytest.mark.parametrize(
        ("given", "key", "complaint"),
        [
            (lambda f: {"ca": str(f.folder / "none")}, "ca", "none: cannot be read: no such file"),
            (lambda f: {"ca": str(f.folder)}, "ca", "is a directory"),
            (lambda f: {"ca": f.pipe()}, "ca", "pipe: cannot be read: a pipe"),
            (lambda _: {"ca": "a\0b"}, "ca", "cannot be read: embedded null"),
            (lambda f: {"ca": f.put("empty", b"")}, "ca", "no PEM certificate in it"),
            (
                lambda f: {"ca": f.put("half", AUTHORITY.cert_pem.bytes()[:200])},
                "ca",
                "half: cannot be used",
            ),
            (lambda f: {"certificate": f.certificate()}, "certificate", "no PEM private key in it"),
            (
                lambda f: {"certificate": f.certificate(), "key": f.certificate()},
                "key",
                "no PEM private key",
            ),
            (
                lambda f: {"certificate": f.certificate(), "key": f.key(OTHER)},
                "key",
                r"key\.pem: is not the key of the certificate in .*cert\.pem",
            ),
            (
                lambda f: {"certificate": f.certificate(), "key": f.encrypted_key(b"secret")},
                "key",
                "the key is encrypted: give 'key-password-file'",
            ),
            (
                lambda f: {
                    "certificate": f.certificate(),
                    "key": f.encrypted_key(b"secret"),
                    "key-password-file": f.put("password", b"wrong"),
                },
                "key-password-file",
                r"password: not the password of .*key\.pem",
            ),
            (
                lambda f: {
                    "certificate": f.certificate(),
                    "key": f.encrypted_key(b"secret"),
                    "key-password-file": f.put("password", b"x" * 5000),
                },
                "key-password-file",
                "not the password",
            ),
            (
                lambda f: {
                    "certificate": f.put("cut.pem", ONE.cert_chain_pems[0].bytes()[:300]),
                    "key": f.key(),
                },
                "certificate",
                r"cut\.pem with .*key\.pem: cannot be used",
            ),
        ],
    )
    def test_an_unusable_file_is_reported_with_key_and_name(
        self, files: Files, given: Callable[[Files], dict[str, str]], key: str, complaint: str
    ) -> None:
        made = TlsClientOptions.model_validate(given(files))
        with pytest.raises(TlsFileError, match=complaint) as caught:
            client_context(made)
        assert caught.value.key == key
        assert "\n" not in caught.value.reason
        assert list(made.file_problems()) == [(key, caught.value.reason)]

    def test_valid_files_have_no_problem(self, files: Files) -> None:
        made = options(ca=files.ca, certificate=files.certificate(), key=files.key())
        assert list(made.file_problems()) == []


class TestReloading:
    def make(self, files: Files) -> tuple[ReloadedContext, list[str | None], Metrics]:
        made = options(certificate=files.certificate(), key=files.key())
        reports: list[str | None] = []
        metrics = Metrics()
        reloaded = ReloadedContext(
            lambda: client_context(made),
            (made.ca, made.certificate, made.key),
            lambda error: reports.append(None if error is None else str(error)),
            metrics,
        )
        return reloaded, reports, metrics

    async def test_unchanged_files_are_not_read(self, files: Files) -> None:
        reloaded, reports, metrics = self.make(files)
        first = reloaded.value
        await reloaded.refresh()
        assert reloaded.value is first
        assert reports == []
        assert [counter.value for counter in reload_counters(metrics)] == [0, 0]

    async def test_a_change_makes_a_new_context(self, files: Files) -> None:
        reloaded, reports, metrics = self.make(files)
        first = reloaded.value
        files.certificate(OTHER)
        files.key(OTHER)
        await reloaded.refresh()
        assert reloaded.value is not first
        assert reports == [None]
        await reloaded.refresh()
        assert [counter.value for counter in reload_counters(metrics)] == [1, 0]

    async def test_a_link_with_a_new_target_makes_a_new_context(self, files: Files) -> None:
        names = {"old": ONE, "new": OTHER}
        for name, leaf in names.items():
            files.put(name, leaf.private_key_and_cert_chain_pem.bytes())
            os.utime(files.folder / name, (1, 1))
        link = files.folder / "current"
        link.symlink_to("old")
        made = options(certificate=str(link))
        reloaded = ReloadedContext(
            lambda: client_context(made), [made.certificate], lambda _error: None, Metrics()
        )
        first = reloaded.value
        (files.folder / "next").symlink_to("new")
        (files.folder / "next").replace(link)
        await reloaded.refresh()
        assert reloaded.value is not first

    async def test_half_of_a_change_keeps_the_old_context_and_is_reported_once(
        self, files: Files
    ) -> None:
        reloaded, reports, metrics = self.make(files)
        first = reloaded.value
        files.certificate(OTHER)
        await reloaded.refresh()
        await reloaded.refresh()
        assert reloaded.value is first
        assert len(reports) == 1
        assert "is not the key" in str(reports[0])
        assert [counter.value for counter in reload_counters(metrics)] == [0, 2]
        files.key(OTHER)
        await reloaded.refresh()
        assert reloaded.value is not first
        assert reports[1:] == [None]

    async def test_a_file_that_disappears_and_returns_is_no_change(self, files: Files) -> None:
        reloaded, reports, metrics = self.make(files)
        first = reloaded.value
        key = files.folder / "key.pem"
        key.rename(files.folder / "away")
        await reloaded.refresh()
        assert "cannot be read" in str(reports[0])
        (files.folder / "away").rename(key)
        await reloaded.refresh()
        assert reloaded.value is first
        assert [counter.value for counter in reload_counters(metrics)] == [0, 1]

    def test_the_first_reading_must_succeed(self, files: Files) -> None:
        made = options(ca=str(files.folder / "none"))
        with pytest.raises(TlsFileError):
            ReloadedContext(lambda: client_context(made), [made.ca], lambda _e: None, Metrics())


class TestOfOneBackend:
    @on_virtual_clock
    async def test_the_server_name_is_the_host_by_default(self) -> None:
        assert ClientTls(options(), "blue.test", make_context()).server_name == "blue.test"
        tls = ClientTls(options(server_name="green.test"), "blue.test", make_context())
        assert tls.server_name == "green.test"

    @on_virtual_clock
    async def test_a_host_that_cannot_be_verified_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="backend test: url: not a host name"):
            ClientTls(options(), ".blue", make_context())

    @on_virtual_clock
    async def test_a_file_that_cannot_be_used_is_refused(self, files: Files) -> None:
        made = options(ca=str(files.folder / "none"))
        with pytest.raises(ConfigurationError, match=r"backend test: tls\.ca: .*none: cannot be"):
            ClientTls(made, "blue.test", make_context())

    @on_virtual_clock
    async def test_dials_look_at_the_files_every_ten_seconds(
        self, files: Files, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.INFO)
        monkeypatch.setattr("wsgw_core.api.watched_file.run_in_thread", at_once)
        context = make_context()
        tls = ClientTls(options(ca=files.ca), "blue.test", context)
        first = tls.context()
        files.put("ca.pem", AUTHORITY.cert_pem.bytes() + b"\n")
        assert tls.context() is first
        await asyncio.sleep(60)
        assert tls.context() is first  # a dial does not wait for the files
        await idle()
        assert tls.context() is not first
        assert caplog.messages == ["reloaded the changed certificate files"]
        files.put("ca.pem", b"")
        await asyncio.sleep(60)
        tls.context()
        await idle()
        assert "cannot reload certificates, the old ones stay: tls.ca: " in caplog.messages[1]

    @on_virtual_clock
    async def test_verify_false_logs_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        ClientTls(options(verify=False), "blue.test", make_context())
        ((_, level, text),) = caplog.record_tuples
        assert level == logging.WARNING
        assert "not verified" in text


def _certificate_error(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"[SSL: X] {message} (_ssl.c:1006)")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (_certificate_error("certificate has expired"), "certificate not accepted: certificate"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ConnectionRefusedError(111, "Connect call failed ('::1', 9)"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ConnectionError("closed\nhere"), "closed here"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_error_texts_have_one_line(error: Exception, text: str) -> None:
    assert tls_error_text(error).startswith(text)
