"""Backends that speak websocket: the default target of wsgw.

plugin           registers the kind
settings         what can be configured
backend          one websocket backend: dials sessions
handshake        the opening handshake as a client
answer_head      reads what the backend answers
connection       one session's websocket
acknowledgement  which messages the backend has received, as its pongs tell
pinger           pings all connections of a backend
late_pong        when a pong that is late means that a connection is given up
liveness         whether the backend lives, as all its connections and a check tell
plain_request    an HTTP request without upgrade, which every living backend answers
pong_record      whether a backend answers pings at all
violations       what it means that a backend broke the protocol or a limit
"""

__version__ = "0.1.0"
