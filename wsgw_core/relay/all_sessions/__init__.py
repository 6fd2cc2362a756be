"""What sessions share, and what concerns all of them.

routes                which route serves a client
session_context       what all sessions of one route share
session_table         all sessions of a gateway
closing_connections   connections of ended sessions that still close
session_reporter      reports session events to the log and to listeners
memory_watch          bounds the memory of all sessions: pauses reading those that hold the most
close_all             closes all clients when the gateway stops, each after its answers
"""
