"""Action Cable subscriptions go on at the next server.

settings       what can be configured
reading        reads the messages that matter
subscriptions  those of one session
valve          sees the messages of a session
"""
