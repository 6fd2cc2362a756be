"""Backends that are web applications: each message of a client is an HTTP request.

plugin            registers the kind; played: its application in `wsgw drill`
settings          what can be configured; statuses, error_rules, fixed_headers
backend           one application: dials sessions
session_urls      where the events of a session go
introduction      the connect event
connection        one session's messages, and the replies
delivery          has one message answered, however many requests that takes; verdict
retry_pauses      how long to wait before an attempt is repeated
answer_order      brings what is answered in any order into the order of the messages
answers           reads answers; body_reader, content_decoding, line_splitter, piece_turns
event_streams     answers that go on after a message is delivered; event_parser
disconnect_events tells the application of the ends of its sessions
session_record    what is kept for a session, whichever backend serves it
request_headers   the headers of requests; cloud_events, signatures, trace_context
requester         sends requests by the client library; exchange, answer_protocol, failures
request_gate      how many requests are under way at a time
addresses         which addresses may be connected to
http_metrics      what a backend counts
"""

__version__ = "0.1.0"
