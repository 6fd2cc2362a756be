"""The clients' TLS: options, certificates that are read again, and subjects of clients."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from wsgw_core.api import ConfigurationError, Metrics
from wsgw_core.config.server_options import FrontendOptions
from wsgw_core.config.server_tls_options import ServerTlsOptions, server_context
from wsgw_core.frontend.server_tls import ServerTls, client_subject, distinguished_name
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.testing.virtual_clock import on_virtual_clock

AUTHORITY = trustme.CA()
OLD = AUTHORITY.issue_cert("gateway.test")
NEW = AUTHORITY.issue_cert("gateway.test")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "both.pem"
    file.write_bytes(OLD.private_key_and_cert_chain_pem.bytes())
    return file


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(AUTHORITY.cert_pem.bytes())
    return file


def replace(file: Path, *, half: bool = False) -> None:
    content = NEW.private_key_and_cert_chain_pem.bytes()
    file.write_bytes(content[:400] if half else content)


async def at_once(call: Callable[[], object]) -> object:
    return call()


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces threads on a virtual clock."""
    monkeypatch.setattr("wsgw_core.api.watched_file.run_in_thread", at_once)


class Bench:
    """A ServerTls on the running loop's clock."""

    def __init__(self, **options: Any) -> None:
        self.metrics = Metrics()
        self.counters = GatewayCounters(self.metrics)
        given = {key.replace("_", "-"): str(value) for key, value in options.items()}
        self.tls = ServerTls(
            ServerTlsOptions.model_validate(given),
            self.metrics,
            self.counters,
            asyncio.get_running_loop(),
            logging.getLogger("wsgw.test"),
        )
        self.tls.start()


class TestOptions:
    def test_a_certificate_is_enough(self) -> None:
        made = FrontendOptions.model_validate({"tls": {"certificate": "both.pem"}}).tls
        assert made is not None
        assert made.client_certificates == "none"
        assert made.minimum_version == "1.2"
        assert made.reload_interval == 60
        assert FrontendOptions().tls is None

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            ({}, "certificate"),
            ({"client-certificates": "required"}, "needs 'client-ca'"),
            ({"client-certificates": "optional"}, "needs 'client-ca'"),
            ({"client-ca": "ca.pem"}, "need 'client-certificates'"),
            ({"subject-header": "X-Subject"}, "need 'client-certificates'"),
            ({"subject-header": "X Subject"}, "subject-header"),
            ({"client-certificates": "some"}, "client-certificates"),
            ({"minimum-version": "1.1"}, "minimum-version"),
            ({"reload-interval": "often"}, "not a duration"),
        ],
    )
    def test_invalid_combinations_are_refused(self, given: dict[str, str], complaint: str) -> None:
        given = {"certificate": "both.pem", **given} if given else {}
        with pytest.raises(ValidationError, match=complaint):
            ServerTlsOptions.model_validate(given)

    def test_the_context_requires_the_configured_certificates(
        self, certificate: Path, authority: Path
    ) -> None:
        def context(**options: str) -> ssl.SSLContext:
            given = {"certificate": str(certificate), **options}
            return server_context(
                ServerTlsOptions.model_validate({k.replace("_", "-"): v for k, v in given.items()})
            )

        assert context().verify_mode is ssl.CERT_NONE
        assert context(minimum_version="1.3").minimum_version is ssl.TLSVersion.TLSv1_3
        for word, mode in (("optional", ssl.CERT_OPTIONAL), ("required", ssl.CERT_REQUIRED)):
            made = context(client_certificates=word, client_ca=str(authority))
            assert made.verify_mode is mode
            assert len(made.get_ca_certs()) == 1

    def test_unusable_files_are_reported(self, certificate: Path, tmp_path: Path) -> None:
        good = ServerTlsOptions(certificate=str(certificate))
        assert list(good.file_problems()) == []
        bad = ServerTlsOptions(
            certificate=str(certificate),
            client_ca=str(tmp_path / "none"),
            client_certificates="required",
        )
        ((key, problem),) = bad.file_problems()
        assert key == "client-ca"
        assert problem.startswith(f"{tmp_path}/none: cannot be read")

    @on_virtual_clock
    async def test_a_file_that_cannot_be_used_prevents_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"server\.frontend\.tls\.certificate: /.*: "):
            Bench(certificate=tmp_path / "none")


class TestRereading:
    @on_virtual_clock
    async def test_files_are_checked_at_the_interval(
        self, certificate: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        bench = Bench(certificate=certificate, reload_interval="10s")
        first = bench.tls.context
        await asyncio.sleep(25)
        assert bench.tls.context is first
        replace(certificate)
        assert bench.tls.context is first
        await asyncio.sleep(10)
        assert bench.tls.context is not first
        assert bench.counters.tls_reloads.value == 1
        assert caplog.messages == ["server.frontend.tls: reloaded the changed certificate files"]
        bench.tls.close()

    @on_virtual_clock
    async def test_unusable_files_keep_the_old_context_and_are_tried_again(
        self, certificate: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        bench = Bench(certificate=certificate, reload_interval="10s")
        first = bench.tls.context
        replace(certificate, half=True)
        await asyncio.sleep(35)
        assert bench.tls.context is first
        assert bench.counters.tls_reload_errors.value == 3
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert (
            "cannot reload certificates, the old ones stay: server.frontend.tls.certificate:"
            f" {certificate}: " in (caplog.messages[0])
        )
        replace(certificate)
        await asyncio.sleep(10)
        assert bench.tls.context is not first
        assert bench.counters.tls_reloads.value == 1
        bench.tls.close()

    @on_virtual_clock
    async def test_without_an_interval_files_are_not_checked(self, certificate: Path) -> None:
        bench = Bench(certificate=certificate, reload_interval="0")
        first = bench.tls.context
        replace(certificate)
        await asyncio.sleep(10_000)
        assert bench.tls.context is first

    @on_virtual_clock
    async def test_files_are_not_checked_after_close(self, certificate: Path) -> None:
        bench = Bench(certificate=certificate)
        bench.tls.close()
        first = bench.tls.context
        replace(certificate)
        await asyncio.sleep(10_000)
        assert bench.tls.context is first


class TestSubject:
    @pytest.mark.parametrize(
        ("parts", "text"),
        [
            ((), ""),
            ((("commonName", "meter-7"),), "CN=meter-7"),
            ((("commonName", 'a"+,;<>\\z'),), 'CN=a\\"\\+\\,\\;\\<\\>\\\\z'),
            ((("commonName", " #x "),), "CN=\\ #x\\ "),
            ((("commonName", "#x"),), "CN=\\#x"),
            ((("commonName", " "),), "CN=\\ "),
            ((("commonName", "ü\r\nX-Admin: 1\0"),), "CN=\\C3\\BC\\0D\\0AX-Admin: 1\\00"),
            ((("commonName", "\x7f\x80"),), "CN=\\7F\\C2\\80"),
            ((("emailAddress", "a@b.test"),), "emailAddress=a@b.test"),
            ((("1.2.3.4", "Hi"),), "1.2.3.4=#0c024869"),
            ((("1.2.3.4", "x" * 127),), "1.2.3.4=#0c7f" + "78" * 127),
            ((("1.2.3.4", "x" * 128),), "1.2.3.4=#0c8180" + "78" * 128),
            ((("1.2.3.4", "x" * 200),), "1.2.3.4=#0c81c8" + "78" * 200),
            ((("1.2.3.4", "x" * 300),), "1.2.3.4=#0c82012c" + "78" * 300),
        ],
    )
    def test_one_part_is_written_as_in_rfc_4514(
        self, parts: tuple[tuple[str, str], ...], text: str
    ) -> None:
        written = distinguished_name((parts,) if parts else ())
        assert written == text
        assert all(" " <= char <= "~" for char in written)

    def test_the_most_specific_part_comes_first(self) -> None:
        parts = (
            (("countryName", "DE"),),
            (("organizationName", "Example, Inc."),),
            (("organizationalUnitName", "Field"), ("userId", "7")),
            (("commonName", "meter-7"),),
        )
        assert distinguished_name(parts) == "CN=meter-7,OU=Field+UID=7,O=Example\\, Inc.,C=DE"

    @pytest.mark.parametrize(
        "certificate", [None, {}, {"subject": ()}, {"subjectAltName": (("DNS", "a"),)}]
    )
    async def test_without_a_verified_certificate_there_is_no_subject(
        self, certificate: Any
    ) -> None:
        class Tls:
            def getpeercert(self) -> Any:
                return certificate

        class Transport(asyncio.Transport):
            def get_extra_info(self, name: str, default: Any = None) -> Any:
                assert name == "ssl_object"
                return Tls()

        assert client_subject(Transport()) is None
        assert client_subject(asyncio.Transport(extra={})) is None

    async def test_a_subject_that_is_no_text_counts_as_none(self) -> None:
        class Tls:
            def getpeercert(self) -> Any:
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

        assert client_subject(asyncio.Transport(extra={"ssl_object": Tls()})) is None
