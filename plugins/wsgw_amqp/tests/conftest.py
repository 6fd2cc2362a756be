"""Fixtures: both event loops, and brokers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from wsgw_amqp.broker_node import BrokerNode, NodeError, serves_amqp

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    nothing_unhandled,
    pytest_asyncio_loop_factories,
)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerNode]:
    """A broker that tests can freeze and block; it runs when a test starts."""
    own = _started(tmp_path_factory)
    yield own
    own.kill()


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The broker of this machine, or one that the tests start; tests share it."""
    if serves_amqp("127.0.0.1", 5672):
        yield "amqp://guest:guest@127.0.0.1:5672"
        return
    own = _started(tmp_path_factory)
    yield own.url
    own.kill()


def _started(tmp_path_factory: pytest.TempPathFactory) -> BrokerNode:
    folder = tmp_path_factory.mktemp("rabbitmq")
    own = BrokerNode(folder, plugins=("rabbitmq_consistent_hash_exchange",))
    try:
        own.start()
    except NodeError as error:
        if os.environ.get("WSGW_TEST_SKIP_SERVICES") == "1":
            pytest.skip(str(error))
        pytest.fail(f"{error}: `make services` installs it; WSGW_TEST_SKIP_SERVICES=1 skips")
    return own
