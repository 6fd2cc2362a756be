"""Scripted ends in memory: a client, and backends.

A test reads like a transcript: the client sends A, the backend gets A, the backend drops, the next
backend gets A again.

FakeClient      records the calls of a session to its client
FakeBackend     answers dials by a script; has the connections that it accepted
FakeConnection  records the calls of a session; the test plays the backend's application
FakeControl     records what a backend reports about all its sessions
Accept, Decline, Unavailable, Hang, Fault   the answers to a dial

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
