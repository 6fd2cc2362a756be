"""The table of states has no dead ends and no way back from the end."""

from __future__ import annotations

import itertools

import pytest

from wsgw_core.relay.session.session_state import TRANSITIONS, Event, State, after, mermaid


def reachable_from(start: State) -> set[State]:
    found = {start}
    while True:
        further = {then for (before, _), then in TRANSITIONS.items() if before in found}
        if further <= found:
            return found
        found |= further


def test_every_state_can_be_reached() -> None:
    assert reachable_from(State.DIALLING) == set(State)


@pytest.mark.parametrize("state", State)
def test_the_end_can_be_reached_from_every_state(state: State) -> None:
    assert State.ENDED in reachable_from(state)


def test_the_end_is_final() -> None:
    assert reachable_from(State.ENDED) == {State.ENDED}


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_every_state_can_be_given_up(state: State) -> None:
    assert after(state, Event.GIVEN_UP) is State.ENDED


def test_every_event_leads_somewhere() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_groups_of_states_have_their_members() -> None:
    flushing = {State.FLUSHING, State.FLUSH_LEAVING, State.FLUSH_HOLDING}
    assert {state for state in State if state.client_has_left} == flushing
    assert {state for state in State if state.is_leaving} == {State.LEAVING, State.FLUSH_LEAVING}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_what_the_table_does_not_name_cannot_happen(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(
            RuntimeError, match=f"'{event.value}' cannot happen while {state.value}"
        ):
            after(state, event)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], State.DIALLING),
        ([Event.BACKEND_READY, Event.BACKEND_LOST], State.HOLDING),
        ([Event.BACKEND_READY, Event.BACKEND_LOST, Event.BACKEND_READY], State.RELAYING),
        ([Event.BACKEND_READY, Event.CLIENT_CLOSED, Event.BACKEND_LOST], State.FLUSH_HOLDING),
        ([Event.BACKEND_READY, Event.BACKEND_LOST, Event.CLIENT_CLOSED], State.FLUSH_HOLDING),
        ([Event.BACKEND_READY, Event.CLIENT_CLOSED, Event.BACKEND_CLOSED], State.ENDED),
        ([Event.BACKEND_READY, Event.MOVE_PLANNED, Event.SETTLED], State.LEAVING),
        (
            [Event.BACKEND_READY, Event.MOVE_PLANNED, Event.SETTLED, Event.CLIENT_CLOSED],
            State.FLUSH_LEAVING,
        ),
    ],
)
def test_events_of_a_life_lead_to_its_state(events: list[Event], state: State) -> None:
    now = State.DIALLING
    for event in events:
        now = after(now, event)
    assert now is state


class TestDiagram:
    def test_it_has_one_line_for_each_transition_a_beginning_and_an_end(self) -> None:
        first, *lines = mermaid().splitlines()
        assert first == "stateDiagram-v2"
        assert lines[0] == "    [*] --> dialling"
        assert lines[-1] == "    ended --> [*]"
        assert set(lines[1:-1]) == {
            f"    {before.value} --> {then.value}: {event.value}"
            for (before, event), then in TRANSITIONS.items()
        }
        assert len(lines) == len(TRANSITIONS) + 2

    def test_it_is_the_same_each_time_and_ends_without_a_newline(self) -> None:
        assert mermaid() == mermaid()
        assert not mermaid().endswith("\n")

    def test_names_need_no_quoting(self) -> None:
        assert all(state.value.replace("_", "").isalpha() for state in State)
