"""Websocket backends, the default target of wsgw.

plugin           registers the kind
settings         the options
backend          one websocket backend: dials sessions
handshake        the opening handshake as a client
answer_head      reads the head of the backend's answer
connection       one session's websocket
acknowledgement  finds out by pongs which messages the backend has received
pinger           pings all connections of a backend
late_pong        decides whether a late pong means a lost connection
liveness         finds out whether the backend lives, from all its connections and by a check
plain_request    an HTTP request without upgrade, which every living backend answers
pong_record      finds out whether a backend answers pings at all
violations       decides how a session ends when its backend broke the protocol or a limit
"""

__version__ = "0.1.0"
