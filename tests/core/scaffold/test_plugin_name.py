"""The valid names of a plugin, and the names derived from them."""

from __future__ import annotations

import pytest

from wsgw_core.api import ConfigurationError
from wsgw_core.scaffold.plugin_name import PluginName

FORTY = "a123456789-123456789-123456789-123456789"


@pytest.mark.parametrize(
    "kind", ["a", "mask", "rate-limit", "v2", "a-1", "test", "async", "json", "list", "ws", FORTY]
)
def test_a_kind_gives_the_distribution_and_the_package_their_names(kind: str) -> None:
    name = PluginName.parse(kind)
    assert name.kind == kind
    assert name.distribution == f"wsgw-{kind}"
    assert name.package == f"wsgw_{kind.replace('-', '_')}"
    assert name.package.isidentifier()


def test_name_of_the_distribution_is_accepted() -> None:
    assert PluginName.parse("wsgw-rate-limit") == PluginName("rate-limit")


@pytest.mark.parametrize(
    "text",
    ["", "wsgw-", "1st", "-a", "a/b", "a\\b", "..", "../a", "/a", "a.b", "é", "a\0", FORTY + "x"],
)
def test_other_names_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigurationError, match="up to 40 lower-case letters, digits and single"):
        PluginName.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Mask", "mask"),
        ("rate_limit", "rate-limit"),
        ("RateLimit", "rate-limit"),
        ("rate limit\n", "rate-limit"),
        ("rate--limit", "rate-limit"),
        ("wsgw_rate_limit", "rate-limit"),
    ],
)
def test_a_name_in_another_spelling_is_suggested(text: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean '{meant}'"):
        PluginName.parse(text)


@pytest.mark.parametrize("text", ["core", "wsgw-core"])
def test_the_name_of_the_gateway_itself_is_taken(text: str) -> None:
    with pytest.raises(ConfigurationError, match="wsgw-core is the gateway itself"):
        PluginName.parse(text)


@pytest.mark.parametrize("text", ["Core", "wsgw_core"])
def test_the_name_of_the_gateway_itself_is_not_suggested(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PluginName.parse(text)
    assert "did you mean" not in str(caught.value)


def test_a_name_of_any_length_is_refused_in_a_short_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        PluginName.parse("A_" * 1_000_000)
    assert len(str(caught.value)) < 300
