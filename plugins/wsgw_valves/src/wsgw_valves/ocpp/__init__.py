"""The next central system answers open calls of chargers.

settings   the options
frame      parses the beginning of a message
valve      sends open calls to the next central system, and drops late answers
"""
