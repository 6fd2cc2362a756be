"""Backends that are web applications: an HTTP request for each message of a client.

plugin            registers the kind; played: its application in `wsgw drill`
settings          what can be configured; statuses, error_rules, fixed_headers
backend           one application: dials sessions
session_urls      where the events of a session go
introduction      the connect event
connection        one session's messages, and the replies
delivery          sends one message until the application answers it; verdict
retry_pauses      how long to wait before an attempt is repeated
answer_order      puts answers into the order of the messages
answers           reads answers; body_reader, content_decoding, line_splitter, piece_turns
event_streams     answers that go on after a message is delivered; event_parser
disconnect_events report the ends of sessions to the application
session_record    what this kind of backend keeps for a session
request_headers   the headers of requests; cloud_events, signatures, trace_context
requester         sends requests with aiohttp; exchange, answer_protocol, failures
request_limiter   limits the requests in flight to each host
addresses         the addresses to which wsgw may connect
http_metrics      the metrics of a backend
"""

__version__ = "0.1.0"
