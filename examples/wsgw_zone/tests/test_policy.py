"""What the policy prefers."""

from __future__ import annotations

import pytest
from wsgw_zone import plugin

from wsgw_core.api import Candidate, ConfigurationError, DialRequest, Policy
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.registered_plugin import RegisteredPlugin

CLIENT = DialRequest("s1", "/chat")


def policy(**options: object) -> Policy:
    return RegisteredPlugin(plugin).policy("zone", options, make_plugin_context())


async def test_own_zone_comes_first_and_there_the_one_with_fewer_connections() -> None:
    backends = [Candidate("eu-2-a"), Candidate("eu-1-a", 1, 9), Candidate("eu-1-b", 4, 8)]
    assert policy(zone="eu-1").costs(CLIENT, backends) == [50, 9, 2]


async def test_another_zone_is_taken_when_the_own_one_has_many_more_connections() -> None:
    backends = [Candidate("eu-2-a", 1, 1), Candidate("eu-1-a", 1, 7)]
    assert policy(zone="eu-1", detour=5).costs(CLIENT, backends) == [6, 7]


async def test_a_name_that_only_begins_alike_is_another_zone() -> None:
    assert policy(zone="eu-1").costs(CLIENT, [Candidate("eu-10-a")]) == [50]


async def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"upstream\.policy\.zone: is missing"):
        policy()
