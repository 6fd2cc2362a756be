"""The subprotocol of a session at a backend that does not interpret subprotocols."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no type hints
from pydantic import TypeAdapter, ValidationError

from wsgw_core.api import DialRequest, Options, Subprotocols

OFFERS = ("ocpp1.6", "ocpp2.0.1")


class Settings(Options):
    subprotocols: Subprotocols = Subprotocols("first")


@pytest.mark.parametrize(
    ("setting", "offers", "chosen"),
    [
        ("first", OFFERS, "ocpp1.6"),
        ("first", (), None),
        ("none", OFFERS, None),
        (["ocpp2.0.1", "ocpp1.6"], OFFERS, "ocpp2.0.1"),
        (["ocpp1.6"], OFFERS, "ocpp1.6"),
        (["mqtt"], OFFERS, None),
        ("ocpp2.0.1,ocpp1.6", OFFERS, "ocpp2.0.1"),
        ("OCPP1.6", OFFERS, None),
        (["first"], OFFERS, "ocpp1.6"),
    ],
)
def test_the_setting_chooses_among_the_clients_offers(
    setting: Any, offers: tuple[str, ...], chosen: str | None
) -> None:
    settings = Settings.model_validate({"subprotocols": setting})
    assert settings.subprotocols.choose(DialRequest("s", "/", (), offers)) == chosen


@pytest.mark.parametrize("setting", ["first", "none", ["mqtt"]])
@pytest.mark.parametrize(("own", "chosen"), [(("ocpp1.6",), "ocpp1.6"), ((), None)])
def test_a_session_keeps_its_subprotocol_after_a_failover(
    setting: Any, own: tuple[str, ...], chosen: str | None
) -> None:
    request = DialRequest("s", "/", (), own, reconnect=True)
    assert Subprotocols(setting).choose(request) == chosen


@pytest.mark.parametrize(
    "setting",
    ["", [], "First", "NONE", ["first", "a"], ["a b"], ["a\n"], [""], [7], 7, None,
     {"a": 1}, "a,,b"],
)  # fmt: skip
def test_an_invalid_setting_is_refused(setting: Any) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"subprotocols": setting})


def test_a_setting_is_written_as_it_is_read() -> None:
    for setting in ("first", "none", ["a", "b"]):
        settings = Settings.model_validate({"subprotocols": setting})
        assert settings.model_dump(mode="json") == {"subprotocols": setting}
        assert Settings.model_validate(settings.model_dump()) == settings
    assert Settings() == Settings.model_validate({"subprotocols": "first"})
    assert Settings() != Settings.model_validate({"subprotocols": "none"})


def test_json_schema_takes_a_text_or_a_list_of_texts() -> None:
    validator = Draft202012Validator(TypeAdapter(Subprotocols).json_schema())
    for right in ("first", "none", "a,b", ["a", "b"]):
        assert validator.is_valid(right)
    for wrong in (7, [], [7], None):
        assert not validator.is_valid(wrong)
