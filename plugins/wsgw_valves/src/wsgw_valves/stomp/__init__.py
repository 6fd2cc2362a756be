"""Keeps STOMP clients connected and subscribed when their broker is replaced.

settings       the options
frames         splits websocket messages into frames, and parses their headers
subscriptions  the subscriptions of a client
session        the frames of one session
valve          the valve
"""
