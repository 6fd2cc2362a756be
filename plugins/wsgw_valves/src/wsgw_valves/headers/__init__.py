"""Other headers for the backend, and for the client's answer.

settings         what can be configured
header_template  values made from a handshake
gate             sets, adds and removes them
"""
