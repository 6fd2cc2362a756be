"""What sessions share, and what concerns all of them.

routes                which clients are served by what
session_context       what all sessions of one route share
session_table         all sessions of a gateway
closing_connections   what ended sessions have left
session_reporter      reports session events to the log and to listeners
memory_watch          bounds what all sessions hold together: holds the clients that have the most
close_all             closes all clients when the gateway stops
last_answers          which of them are owed answers before
"""
