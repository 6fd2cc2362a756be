"""Scripted ends for tests of what lies between them: a client, and backends in memory.

A test reads like a transcript: the client says A, the backend gets A, the backend drops, the next
backend gets A again.

FakeClient      the methods that a session calls at its client; records them
FakeBackend     answers dials by a script; has the connections that it accepted
FakeConnection  records what a session does; the test acts as the backend's application
FakeControl     records what a backend says of itself as a whole
Accept, Decline, Unavailable, Hang, Fault   what a dial is answered

Waiting fails after an hour by default, since these are meant for a VirtualClockLoop.
"""

from .fake_backend import Accept, Answer, Decline, FakeBackend, Fault, Hang, Unavailable
from .fake_client import FakeClient
from .fake_connection import FakeConnection, FakeNumberedConnection, as_message
from .fake_control import FakeControl

__all__ = [
    "Accept",
    "Answer",
    "Decline",
    "FakeBackend",
    "FakeClient",
    "FakeConnection",
    "FakeControl",
    "FakeNumberedConnection",
    "Fault",
    "Hang",
    "Unavailable",
    "as_message",
]
