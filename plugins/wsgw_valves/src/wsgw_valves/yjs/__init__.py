"""Documents of Yjs stay the same for all who edit them, whichever server serves.

settings   what can be configured
awareness  what a client says of itself: its name, its cursor
valve      has each new server and the client exchange what they miss
"""
