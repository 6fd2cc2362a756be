"""The messages of a session that one rule remembers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from wsgw_core.api import HydrationRefused, Message, ReplyExpected, SentOnce

from ..session_memory import SessionMemory
from .reading import Reading
from .settings import RememberRule

Answered = Callable[[Hashable], None]


class _Entry:
    """One remembered message.

    Attributes:
        number: the order of arrival.
        key: the key of the message.
        id: identifies its answer; None: answers come in order.
        is_due: whether new backends must get it: it was answered, or needs no answer.
        is_in_flight: it came while no backend served, so the core sends it to the next one.
    """

    __slots__ = ("id", "is_due", "is_in_flight", "key", "message", "number")

    def __init__(
        self, message: Message, number: int, key: bytes, id_: bytes | None, *, is_due: bool
    ) -> None:
        self.message = message
        self.number = number
        self.key = key
        self.id = id_
        self.is_due = is_due
        self.is_in_flight = False

    @property
    def size(self) -> int:
        return self.message.size + len(self.key) + len(self.id or b"")


class RuleMemory:
    """Remembers the messages of one session that one rule matches.

    Args:
        rule: the rule.
        place: the rule's index.
        memory: the session's.
        answered: `Session.answered`; called for messages that need no replay.
    """

    __slots__ = ("_answered", "_kept", "_latest", "_memory", "_open", "_place", "rule")

    def __init__(
        self, rule: RememberRule, place: int, memory: SessionMemory, answered: Answered
    ) -> None:
        self.rule = rule
        self._place = place
        self._memory = memory
        self._answered = answered
        self._latest = 0
        self._kept: dict[bytes, list[_Entry]] = {}
        self._open: dict[int, _Entry] = {}  # entries without an answer, by number, oldest first

    @property
    def waits(self) -> bool:
        """Whether a message waits for its answer."""
        return bool(self._open)

    def remember(self, reading: Reading, message: Message, *, served: bool) -> Message | None:
        """Remembers a message that the rule matches; returns the message to send, or else None.

        Args:
            reading: of the message.
            message: the client's.
            served: whether a backend serves the session now.
        """
        rule = self.rule
        if not rule.remember.holds(reading):
            return None
        key = b"" if rule.key is None else rule.key.found_in(reading)
        id_ = None if rule.id is None else rule.id.found_in(reading)
        if key is None or (rule.id is not None and id_ is None):
            return None
        self._latest += 1
        entry = _Entry(message, self._latest, key, id_, is_due=rule.answer is None)
        entry.is_in_flight = not served
        if rule.answer is None and rule.keep == "last":
            self._drop(key)
        self._memory.take(entry.size)
        self._kept.setdefault(key, []).append(entry)
        if rule.answer is None:
            return SentOnce(message.kind, message.data)
        self._open[entry.number] = entry
        return ReplyExpected(message.kind, message.data, self._handle(entry), rule.answer_timeout)

    def client_said(self, reading: Reading) -> None:
        """Forgets the key that a client's message ends."""
        if self.rule.forget is not None and self._kept and self.rule.forget.holds(reading):
            self._forget(reading)

    def backend_said(self, reading: Reading, *, answers: bool) -> None:
        """Handles an answer, and forgets the key that a backend's message ends.

        Args:
            reading: of the message.
            answers: whether it may be an answer to the client.
        """
        rule = self.rule
        if answers and self._open:
            if rule.answer is not None and rule.answer.holds(reading):
                self._settle(reading, is_kept=True)
            elif rule.refusal is not None and rule.refusal.holds(reading):
                self._settle(reading, is_kept=False)
        ends = rule.forget_from_backend
        if ends is not None and self._kept and ends.holds(reading):
            self._forget(reading)

    def steps(self) -> Iterator[tuple[Message, Callable[[Reading], bool] | None]]:
        """Yields the messages of a hydration, each with a function that recognises its answer."""
        entries = sorted(self._due(), key=lambda entry: entry.number)
        for entry in entries:
            if entry.is_in_flight:
                entry.is_in_flight = False
            else:
                yield entry.message, None if self.rule.answer is None else self._answers(entry.id)

    def _due(self) -> Iterator[_Entry]:
        for entries in self._kept.values():
            yield from (entry for entry in entries if entry.is_due)

    def _answers(self, id_: bytes | None) -> Callable[[Reading], bool]:
        """Returns a function that recognises an answer, or raises HydrationRefused."""
        rule = self.rule

        def is_answer(reading: Reading) -> bool:
            if id_ is not None and self._answer_id(reading) != id_:
                return False
            if rule.refusal is not None and rule.refusal.holds(reading):
                raise HydrationRefused("the backend refuses what another backend has granted")
            return rule.answer is not None and rule.answer.holds(reading)

        return is_answer

    def _answer_id(self, reading: Reading) -> bytes | None:
        finder = self.rule.answer_id or self.rule.id
        return None if finder is None else finder.found_in(reading)

    def _settle(self, reading: Reading, *, is_kept: bool) -> None:
        id_ = self._answer_id(reading)
        found = (entry for entry in self._open.values() if entry.id is None or entry.id == id_)
        entry = next(found, None)
        if entry is None:
            return
        del self._open[entry.number]
        self._answered(self._handle(entry))
        entry.is_due = is_kept
        entry.is_in_flight = False
        entries = self._kept[entry.key]
        if not is_kept:
            self._remove(entries, entry)
        elif self.rule.keep == "last":
            for older in [each for each in entries if each.number < entry.number]:
                self._remove(entries, older)
        if not entries:
            del self._kept[entry.key]

    def _forget(self, reading: Reading) -> None:
        rule = self.rule
        finder = rule.forget_key or rule.key
        if finder is None:
            self._drop(b"")
        elif (key := finder.found_in(reading)) is not None:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        entries = self._kept.pop(key, [])
        for entry in list(entries):
            self._remove(entries, entry)

    def _remove(self, entries: list[_Entry], entry: _Entry) -> None:
        entries.remove(entry)
        self._memory.free(entry.size)
        if self._open.pop(entry.number, None) is not None:
            self._answered(self._handle(entry))

    def _handle(self, entry: _Entry) -> Hashable:
        return "remember", self._place, entry.number
