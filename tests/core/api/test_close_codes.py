"""The close codes that may be sent (RFC 6455 section 7.4)."""

from __future__ import annotations

import pytest

from wsgw_core.api import CloseCode
from wsgw_core.websocket import session_ends


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4000, 4999])
def test_valid_codes_may_be_sent(code: int) -> None:
    assert CloseCode.may_be_sent(code)


@pytest.mark.parametrize(
    "code", [0, 999, 1004, CloseCode.NO_CODE, CloseCode.LOST, 1015, 2999, 5000]
)
def test_reserved_and_unknown_codes_may_not_be_sent(code: int) -> None:
    assert not CloseCode.may_be_sent(code)


def test_all_codes_that_sessions_end_with_may_be_sent() -> None:
    codes = {code for end in session_ends.TABLE for code in (end.client, end.backend) if code}
    assert len(codes) > 5
    assert all(map(CloseCode.may_be_sent, codes))
