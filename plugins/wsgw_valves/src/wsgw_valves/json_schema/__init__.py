"""Passes only messages that fit a JSON Schema.

settings   the options
schema     reads schemas
valve      discards other messages, or ends the session
"""
