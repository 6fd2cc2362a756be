"""Keeps STOMP clients connected and subscribed when their broker is replaced.

settings       what can be configured
frames         frames out of websocket messages, and their headers
subscriptions  what a client has subscribed to
session        the frames of one session
valve          makes what sees the messages of a session
"""
