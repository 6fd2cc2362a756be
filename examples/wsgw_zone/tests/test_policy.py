"""The preferences of the policy."""

from __future__ import annotations

import pytest
from wsgw_zone import plugin

from wsgw_core.api import Candidate, ConfigurationError, DialRequest, Policy
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.registered_plugin import RegisteredPlugin

CLIENT = DialRequest("s1", "/chat")


def policy(**options: object) -> Policy:
    return RegisteredPlugin(plugin).policy("zone", options, make_plugin_context())


async def test_own_zone_with_fewest_connections_is_preferred() -> None:
    backends = [Candidate("eu-2-a"), Candidate("eu-1-a", 1, 9), Candidate("eu-1-b", 4, 8)]
    assert policy(zone="eu-1").costs(CLIENT, backends) == [50, 9, 2]


async def test_other_zone_is_chosen_above_detour() -> None:
    backends = [Candidate("eu-2-a", 1, 1), Candidate("eu-1-a", 1, 7)]
    assert policy(zone="eu-1", detour=5).costs(CLIENT, backends) == [6, 7]


async def test_zone_with_same_prefix_is_another_zone() -> None:
    assert policy(zone="eu-1").costs(CLIENT, [Candidate("eu-10-a")]) == [50]


async def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"upstream\.policy\.zone: is missing"):
        policy()
