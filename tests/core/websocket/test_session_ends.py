"""Rows of the documentation of close codes."""

from __future__ import annotations

from wsgw_core.websocket.session_ends import End


def test_a_row_has_the_codes_that_both_sides_see() -> None:
    assert End("it stops", 1001, 1012).row() == ("it stops", "1001", "1012")


def test_a_side_without_a_code_sees_nothing_or_what_its_text_says() -> None:
    assert End("it stops").row() == ("it stops", "", "")
    end = End("it stops", 1001, 1012, client_sees="{}, if it reads that", backend_sees="nothing")
    assert end.row() == ("it stops", "1001, if it reads that", "nothing")
