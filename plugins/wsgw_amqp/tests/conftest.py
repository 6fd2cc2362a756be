"""Fixtures: both event loops, and a broker for each process of a run that needs one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from wsgw_amqp.broker_node import BrokerNode, NodeError, serves_amqp

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    nothing_unhandled,
    pytest_asyncio_loop_factories,
)

from .secure_node import SecureNode


@pytest.hookimpl(tryfirst=True)  # before the tests are dealt
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets few processes have the tests with a broker, which takes seconds to start."""
    for item in items:
        if isinstance(item, pytest.Function) and {"secure", "broker_url"} & {*item.fixturenames}:
            item.add_marker("few_processes")


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureNode]:
    """The broker of this process, with TLS; tests share it."""
    own = SecureNode(tmp_path_factory.mktemp("rabbitmq"))
    try:
        own.node.start()
    except NodeError as error:
        if os.environ.get("WSGW_TEST_SKIP_SERVICES") == "1":
            pytest.skip(str(error))
        pytest.fail(f"{error}: `make services` installs it; WSGW_TEST_SKIP_SERVICES=1 skips")
    own.add_user("gateway")
    yield own
    own.node.kill()


@pytest.fixture
def node(secure: SecureNode) -> Iterator[BrokerNode]:
    """The same broker for a test that kills, blocks or inspects it."""
    yield secure.node
    if not serves_amqp("127.0.0.1", secure.node.port):  # the test has failed
        secure.node.kill()
        secure.node.start()


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest) -> str:
    """The broker of this machine, or that of this process; tests share it."""
    if serves_amqp("127.0.0.1", 5672):
        return "amqp://guest:guest@127.0.0.1:5672"
    secure: SecureNode = request.getfixturevalue("secure")
    return secure.node.url
