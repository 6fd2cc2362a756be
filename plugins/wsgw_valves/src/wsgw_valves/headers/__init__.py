"""Changes the headers for the backend and of the answer to the client.

settings         the options
header_template  templates of values
gate             the gate
"""
