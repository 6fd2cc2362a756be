"""Calls of chargers are answered, whichever central system serves them.

settings   what can be configured
frame      reads the beginning of a message
valve      sends open calls to the next central system, and drops late answers
"""
