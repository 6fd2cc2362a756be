"""A backend plugin for wsgw: clients talk to workers through a stream of NATS JetStream.

plugin          registers the kind
settings        its options; subject: the template of a NATS subject
backend         one configured server: connects sessions, delivers replies, reports sessions' ends
connection      publishes one session's messages
nats_link       the connection to the server, which all sessions share
hang_up         closes that connection, even if the server does not read
acknowledgement parses JetStream's answer to a published message
stream_check    checks at a dial that a stream takes the session's messages
events          publishes connect and disconnect events
envelope        the format of messages, replies and events in NATS
metrics         the metrics of a backend
"""
