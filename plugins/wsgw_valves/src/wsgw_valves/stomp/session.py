"""The frames of one session."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsgw_core.api import (
    TEXT,
    CloseSession,
    Counter,
    Goodbye,
    Hydration,
    HydrationRefused,
    Message,
    MessageKind,
    ReplyExpected,
    SentOnce,
    Session,
)

from ..session_memory import SHARE, MemoryExceeded, SessionMemory
from .frames import Frame, FrameSplitter, MalformedFrame
from .settings import StompSettings
from .subscriptions import Subscriptions

_CONNECT = "connect"  # the handle
_MOST_TRANSACTIONS = 100
_LONGEST_REASON = 100  # characters

_Outcome = Message | Frame | None


class StompSession:
    """Remembers the client's state for the broker, and hydrates the next broker with it.

    Args:
        settings: the valve's checked options.
        session: the session.
        closed: counts sessions that the valve closes, by reason.
    """

    __slots__ = (
        "_awaited",
        "_begins",
        "_client",
        "_closed",
        "_connect",
        "_epoch",
        "_from_broker",
        "_from_client",
        "_is_connected",
        "_is_erroneous",
        "_is_gone",
        "_kind",
        "_memory",
        "_server",
        "_session",
        "_settings",
        "_subscriptions",
        "_transactions",
        "_version",
    )

    def __init__(
        self, settings: StompSettings, session: Session, closed: Callable[[str], Counter]
    ) -> None:
        self._settings = settings
        self._session = session
        self._closed = closed
        self._client = FrameSplitter(settings.max_frame_size)
        self._server = FrameSplitter(settings.max_frame_size)
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._subscriptions = Subscriptions(self._memory, settings.max_subscriptions)
        self._connect: Frame | None = None
        self._is_connected = False
        self._version: bytes | None = None
        self._is_gone = self._is_erroneous = False  # after DISCONNECT; after ERROR
        self._begins: list[tuple[str, bytes]] = []  # handles of frames before CONNECTED
        self._transactions: set[bytes] = set()
        self._epoch = 0  # number of earlier brokers
        self._awaited = 0  # pending answers of a hydration
        self._kind: MessageKind = TEXT
        self._from_client: dict[bytes, Callable[[Frame], _Outcome]] = {
            b"CONNECT": self._connects,
            b"STOMP": self._connects,
            b"SEND": self._sends,
            b"SUBSCRIBE": self._subscribes,
            b"UNSUBSCRIBE": self._subscribes,
            b"ACK": self._acknowledges,
            b"NACK": self._acknowledges,
            b"BEGIN": self._transacts,
            b"COMMIT": self._transacts,
            b"ABORT": self._transacts,
            b"DISCONNECT": self._says_goodbye,
        }
        self._from_broker: dict[bytes, Callable[[Frame], _Outcome]] = {
            b"CONNECTED": self._accepts,
            b"MESSAGE": self._delivers,
            b"RECEIPT": self._answers,
            b"ERROR": self._fails,
        }

    # MessageValve

    def before_transmit(self, message: Message) -> Message | None:
        """See MessageValve."""
        self._kind = message.kind
        try:
            frame = self._client.frame_in(message.data)
            if frame:
                return self._as_message(self._of_client(Frame(frame)), message, frame)
            if frame is not None:
                return self._heart_beat(message)
            return self._split(
                message, self._client, self._of_client, self._session.send_to_backend
            )
        except MalformedFrame as error:
            raise self._end(1008, "malformed", str(error)) from None
        except MemoryExceeded as error:
            raise self._end(1008, "too-much", str(error)) from None

    def after_receive(self, message: Message) -> Message | None:
        """See MessageValve."""
        try:
            frame = self._server.frame_in(message.data)
            if frame:
                outcome = self._as_message(self._of_broker(Frame(frame)), message, frame)
            elif frame is not None:
                outcome = message
            else:
                outcome = self._split(
                    message, self._server, self._of_broker, self._session.send_to_client
                )
        except MalformedFrame as error:
            raise self._end(1011, "broker", f"from the broker: {error}") from None
        except MemoryExceeded as error:
            raise self._end(1008, "too-much", str(error)) from None
        if self._is_erroneous and not self._awaited:
            self._session.close(1000)  # no other broker should get this session
        return outcome

    def hydrate(self) -> Sequence[Hydration]:
        """See HydratingValve."""
        self._server.forget()
        self._awaited = 0
        self._is_erroneous = False
        if self._connect is None or not self._is_connected:
            return ()  # CONNECT is replayed
        self._epoch += 1
        if self._transactions:
            self._session.close(1012, "a transaction is open")
            return (Hydration(None, _never),)  # blocks everything else
        steps = [self._step(self._connect, b"CONNECTED", b"version", self._version)]
        for frame in self._subscriptions:
            if frame[b"receipt"] is None:
                steps.append(Hydration(self._message(frame)))
            else:
                steps.append(self._step(frame, b"RECEIPT", b"receipt-id", frame[b"receipt"]))
        return steps

    @property
    def held_bytes(self) -> int:
        """See HoldingValve."""
        return self._client.waiting_bytes + self.held_from_backend

    @property
    def held_from_backend(self) -> int:
        """See HoldingValve."""
        return self._server.waiting_bytes

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used + len(self._transactions) * SHARE

    def _step(self, frame: Frame, command: bytes, header: bytes, value: bytes | None) -> Hydration:
        """Returns a step whose answer has this command and header."""
        self._awaited += 1

        def is_answer(message: Message) -> bool:
            data = message.data.strip(b"\r\n")
            if not data:
                return False
            answer = Frame(data)
            try:
                if answer.command == b"ERROR":
                    text = (answer[b"message"] or b"")[:_LONGEST_REASON].decode(errors="replace")
                    raise HydrationRefused(f"the broker answered with ERROR {text!a}")
                if answer.command != command:
                    return False
                is_right = answer[header] == value
            except MalformedFrame as error:
                raise HydrationRefused(f"{answer.command.decode()}: {error}") from error
            if not is_right and command == b"CONNECTED":
                raise HydrationRefused("the broker uses another version of STOMP")
            self._awaited -= is_right
            return is_right

        return Hydration(self._message(frame), is_answer)

    def _end(self, code: int, why: str, text: str) -> CloseSession:
        self._closed(why).value += 1
        return CloseSession(code, text)

    # Messages and frames

    def _message(self, frame: Frame) -> Message:
        return Message(self._kind, frame.data)

    def _as_message(self, outcome: _Outcome, message: Message, frame: bytes) -> Message | None:
        """Returns the message to pass on; the original one if it is unchanged."""
        if isinstance(outcome, Frame):
            return message if outcome.data is frame else Message(message.kind, outcome.data)
        return outcome

    def _heart_beat(self, message: Message) -> Message | None:
        return SentOnce(message.kind, message.data) if self._session.backend_id else None

    def _split(
        self,
        message: Message,
        splitter: FrameSplitter,
        act: Callable[[Frame], _Outcome],
        send: Callable[[Message], None],
    ) -> Message | None:
        """Handles the frames of a message; returns the first message to pass on."""
        outcomes: list[Message] = []
        for data in splitter.split(message.data):
            outcome = act(Frame(data)) if data else SentOnce(message.kind, b"\n")
            if isinstance(outcome, Frame):
                outcomes.append(Message(message.kind, outcome.data))
            elif outcome is not None:
                outcomes.append(outcome)
        for outcome in outcomes[1:]:
            send(outcome)
        return outcomes[0] if outcomes else None

    def _of_client(self, frame: Frame) -> _Outcome:
        act = self._from_client.get(frame.command)
        if act is None:
            raise MalformedFrame("not a command of a client")
        if (self._connect is None) != (act == self._connects):
            raise MalformedFrame("a frame before CONNECT, or a second CONNECT")
        if self._is_gone:
            raise MalformedFrame("a frame after DISCONNECT")
        return act(frame)

    def _of_broker(self, frame: Frame) -> _Outcome:
        act = self._from_broker.get(frame.command)
        if act is None:
            raise MalformedFrame("not a command of a broker")
        return act(frame)

    # Frames of the client

    def _expecting(self, frame: Frame, handle: str | tuple[str, bytes]) -> Message:
        return ReplyExpected(self._kind, frame.data, handle, self._settings.answer_timeout)

    def _connects(self, frame: Frame) -> _Outcome:
        self._memory.take(len(frame.data))
        self._connect = frame
        return self._expecting(frame, _CONNECT)

    def _sends(self, frame: Frame) -> _Outcome:
        receipt = frame[b"receipt"] if b"\nreceipt:" in frame.data else None
        return frame if receipt is None else self._expecting(frame, ("receipt", receipt))

    def _subscribes(self, frame: Frame) -> _Outcome:
        receipt = frame[b"receipt"]
        self._subscriptions.ask(frame, receipt)
        if receipt is not None:
            return self._expecting(frame, ("receipt", receipt))
        if not self._is_connected:
            handle = frame.command.decode(), Subscriptions.key(frame)
            self._memory.take(len(handle[1]))
            self._begins.append(handle)
            return self._expecting(frame, handle)
        # The next broker gets it by hydration, so it must not be replayed.
        return SentOnce(self._kind, frame.data) if self._session.backend_id else None

    def _acknowledges(self, frame: Frame) -> _Outcome:
        name = b"message-id" if frame[b"id"] is None else b"id"
        if frame[name] is None:
            raise MalformedFrame("an acknowledgement without an id")
        if self._session.backend_id is None:
            return None
        if self._epoch:
            value, mark = frame.raw(name), self._mark
            if not value.startswith(mark):
                return None  # it is for a message of a lost broker
            frame = frame.with_header(name, value[len(mark) :])
        return SentOnce(self._kind, frame.data)

    @property
    def _mark(self) -> bytes:
        """The prefix of this broker's message ids for the client."""
        return b"wsgw%d." % self._epoch

    def _transacts(self, frame: Frame) -> _Outcome:
        transaction = frame[b"transaction"]
        if transaction is None:
            raise MalformedFrame("a transaction without a name")
        if frame.command == b"BEGIN":
            if len(self._transactions) >= _MOST_TRANSACTIONS:
                raise MemoryExceeded(f"more than {_MOST_TRANSACTIONS} transactions")
            self._transactions.add(transaction[:_LONGEST_REASON])
        else:
            self._transactions.discard(transaction[:_LONGEST_REASON])
        return self._sends(frame)

    def _says_goodbye(self, frame: Frame) -> _Outcome:
        self._is_gone = True
        return Goodbye(self._kind, frame.data)

    # Frames of the broker

    def _accepts(self, frame: Frame) -> _Outcome:
        if not self._is_connected:
            self._is_connected = True
            self._version = frame[b"version"]
            self._session.answered(_CONNECT)
            for handle in self._begins:
                self._memory.free(len(handle[1]))
                self._session.answered(handle)
            self._begins.clear()
        return frame

    def _delivers(self, frame: Frame) -> _Outcome:
        if not self._epoch:
            return frame
        if not self._subscriptions.wants_acknowledgements(frame[b"subscription"] or b""):
            return frame
        name = b"message-id" if frame[b"ack"] is None else b"ack"
        if frame[name] is None:
            return frame
        return frame.with_header(name, self._mark + frame.raw(name))

    def _answers(self, frame: Frame) -> _Outcome:
        receipt = frame[b"receipt-id"]
        if receipt is not None:
            self._subscriptions.answer(receipt)
            self._session.answered(("receipt", receipt))
        return frame

    def _fails(self, frame: Frame) -> _Outcome:
        self._is_erroneous = True
        return frame


def _never(_message: Message) -> bool:
    return False
