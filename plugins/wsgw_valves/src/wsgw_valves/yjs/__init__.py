"""Documents of Yjs stay the same for all editors when their server is replaced.

settings   the options
awareness  a client's own awareness state: name and cursor
valve      the valve, which synchronises the client with each new server
"""
