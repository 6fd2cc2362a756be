"""Secrets are kept out of what is printed."""

from __future__ import annotations

from typing import Any

import pytest

from wsgw_core.masking import masked, masked_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ws://joe:hush@a:1/x", "ws://joe:***@a:1/x"),
        ("ws://joe:hu@sh@a:1/x", "ws://joe:***@a:1/x"),
        ("redis://:hush@a:1", "redis://:***@a:1"),
        ("two: a://b:hush@c and d://e:hush@f", "two: a://b:***@c and d://e:***@f"),
        ("ws://a:1/?access_token=hush&x=1", "ws://a:1/?access_token=***&x=1"),
        ("ws://a:1/?x=1&API-KEY=hush", "ws://a:1/?x=1&API-KEY=***"),
        ("ws://joe@a:1/b:c@d", "ws://joe@a:1/b:c@d"),
        ("ws://[::1]:80/", "ws://[::1]:80/"),
        ("ws://joe@corp:hush@a:1", "ws://joe@corp:***@a:1"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nhush: not found",
            "-----BEGIN RSA PRIVATE KEY-----***",
        ),
        ("mail joe@example.com at 10:30", "mail joe@example.com at 10:30"),
    ],
)
def test_passwords_in_urls_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"password": "hush"}, {"password": "***"}),
        ({"a": [{"api-key": 5, "b": 1}]}, {"a": [{"api-key": "***", "b": 1}]}),
        (
            {"tokens": ["x"], "auth-token": ["x", "y"]},
            {"tokens": ["***"], "auth-token": ["***"] * 2},
        ),
        ({"password-file": "/run/x", "secret": None}, {"password-file": "/run/x", "secret": None}),
        ({"tokens": [{"name": "x", "token": "y"}]}, {"tokens": [{"name": "x", "token": "***"}]}),
        ({"tokens": {"x": "y"}, "password": {"x": 1}}, {"tokens": "***", "password": "***"}),
        ({"url": "a://b:hu sh/@c"}, {"url": "a://b:***@c"}),
        ({"url": "a://b:80/c", "x": ["a://b:hu sh"]}, {"url": "a://b:80/c", "x": ["a://b:***"]}),
        ({"url": "a://b:hush@c"}, {"url": "a://b:***@c"}),
        (
            {"Authorization": "Basic eDp5", "Cookie": "a=b"},
            {"Authorization": "***", "Cookie": "***"},
        ),
    ],
)
def test_values_of_keys_named_like_secrets_are_masked(data: Any, shown: Any) -> None:
    assert masked(data) == shown
