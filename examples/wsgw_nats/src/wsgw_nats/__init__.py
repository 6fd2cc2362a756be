"""A backend plugin for wsgw: clients talk to workers through a stream of NATS JetStream.

plugin          registers the kind
settings        its options; subject: the template of a NATS subject
backend         one configured server: connects sessions, takes replies, tells of sessions' ends
connection      one session's messages
nats_link       the connection to the server, which all sessions share
hang_up         lets go of it, also when the server takes nothing
acknowledgement what JetStream answers to a published message
stream_check    finds out before a session begins whether a stream takes its messages
events          tells workers which sessions there are
envelope        how messages, replies and events look in NATS
metrics         what is counted
"""
