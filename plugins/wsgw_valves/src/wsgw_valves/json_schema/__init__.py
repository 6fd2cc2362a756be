"""Only messages that a JSON Schema describes.

settings   what can be configured
validator  reads messages and compares them with a schema
valve      discards others, or ends the session
"""
