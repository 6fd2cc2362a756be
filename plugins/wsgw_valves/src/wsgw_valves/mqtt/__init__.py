"""Keeps MQTT clients connected and subscribed when their broker is replaced.

settings       the options
malformed      the error for invalid packets
packets        splits websocket messages into packets, and parses these
properties     the properties of MQTT 5
connect        CONNECT and CONNACK
publish        PUBLISH: identifiers, topic aliases
subscriptions  the subscriptions of a client
inward         unacknowledged messages of the broker
outward        unanswered packets of the client
hydration      the hydration of a new broker
session        the packets of one session
valve          the valve
"""
