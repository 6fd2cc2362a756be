"""What the end of a connection means for its session."""

from __future__ import annotations

import pytest

from wsgw_core.api import Close, CloseCode, EndMeaning


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 4001])
def test_an_end_that_is_not_abnormal_ends_the_session(code: int) -> None:
    assert Close(code).meaning is EndMeaning.OVER


@pytest.mark.parametrize("code", [1001, 1012, 1013, 1014])
def test_an_abnormal_end_with_a_leaving_code_is_a_loss(code: int) -> None:
    assert Close(code, abnormal=True).meaning is EndMeaning.LOSS


@pytest.mark.parametrize("code", [1000, 1002, 1005, 1006, 1008, 1009, 1011, 1015, 3000, 4999])
def test_every_other_abnormal_end_is_a_death(code: int) -> None:
    assert Close(code, abnormal=True).meaning is EndMeaning.DEATH


def test_the_code_of_a_close_is_a_plain_number() -> None:
    assert type(Close(CloseCode.GOING_AWAY).code) is int
