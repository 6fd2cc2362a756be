from __future__ import annotations

import gc
import logging
import weakref

import pytest

from wsgw_core.pool.backends.backend_logger import BackendLogger

PARENT = logging.getLogger("wsgw.test.parent")


@pytest.fixture
def logger() -> BackendLogger:
    return BackendLogger(PARENT, "blue")


def test_records_reach_the_parents_handlers_with_the_backend(
    logger: BackendLogger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("it %s", "hangs")

    [record] = caplog.records
    assert record.name == "wsgw.test.parent.backend.blue"
    assert record.getMessage() == "it hangs"
    assert vars(record)["backend"] == "blue"


def test_child_logs_alike_and_is_not_kept(
    logger: BackendLogger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.getChild("link").warning("it hangs")

    [record] = caplog.records
    assert record.name == "wsgw.test.parent.backend.blue.link"
    assert vars(record)["backend"] == "blue"
    assert record.name not in logging.root.manager.loggerDict


def test_backend_named_by_the_plugin_is_kept(
    logger: BackendLogger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("it hangs", extra={"backend": "node 3"})

    assert [vars(record)["backend"] for record in caplog.records] == ["node 3"]


def test_level_of_the_parent_applies_at_once(
    logger: BackendLogger, caplog: pytest.LogCaptureFixture
) -> None:
    for level in (logging.INFO, logging.WARNING, logging.INFO):
        with caplog.at_level(level, PARENT.name):
            logger.info("%d", level)

    assert [record.getMessage() for record in caplog.records] == ["20", "20"]


def test_logger_is_freed_without_garbage_collection() -> None:
    gc.disable()
    try:
        logger = BackendLogger(PARENT, "green")
        logger.warning("gone soon")
        gone = weakref.ref(logger)
        del logger
        assert gone() is None
    finally:
        gc.enable()
