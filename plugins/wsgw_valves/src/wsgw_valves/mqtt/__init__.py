"""Keeps MQTT clients connected and subscribed when their broker is replaced.

settings       what can be configured
malformed      what no MQTT packet looks like
packets        packets out of websocket messages, and their parts
properties     the properties of MQTT 5
connect        CONNECT, and what the broker says to it
publish        PUBLISH: identifiers, topic aliases
subscriptions  what a client has subscribed to
inward         what the client still owes the broker that serves
outward        what the broker still owes the client: answers
hydration      what a new broker hears, and its answers
session        the packets of one session
valve          makes what sees the messages of a session
"""
