"""Loads the core's part of a configuration, without the options of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wsgw_core.api import ConfigurationError
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.sources import read_sources


def load_config(file: Path | None, environment: Mapping[str, str]) -> GatewayConfig:
    """Returns the checked configuration; raises ConfigurationError with all problems."""
    draft = read_sources(file, environment)
    if draft.config is None:
        raise ConfigurationError(draft.origins.in_order(draft.problems))
    return draft.config
