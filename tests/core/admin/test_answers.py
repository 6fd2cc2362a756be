"""The JSON answers of the admin API."""

from __future__ import annotations

import pytest
from aiohttp import web

from wsgw_core.admin import answers


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (answers.success(), 200, '{"result":"success"}'),
        (
            answers.success(reason="NoActionRequired"),
            200,
            '{"result":"success","reason":"NoActionRequired"}',
        ),
        (answers.failed(), 200, '{"result":"failed"}'),
        (answers.failed("NotFound", 404), 404, '{"result":"failed","reason":"NotFound"}'),
        (
            answers.failed("NotImplemented", 501),
            501,
            '{"result":"failed","reason":"NotImplemented"}',
        ),
        (answers.answer(["ü\u202e"], 503), 503, '["\\u00fc\\u202e"]'),
    ],
)
def test_answer_is_compact_json_with_security_headers(
    response: web.Response, status: int, body: str
) -> None:
    assert (response.status, response.text) == (status, body)
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_additional_headers_are_sent() -> None:
    response = answers.failed("OnlyPostAllowed", 405, {"Allow": "POST"})
    assert response.headers["Allow"] == "POST"
    assert response.headers["Cache-Control"] == "no-store"
