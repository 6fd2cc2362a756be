"""How much a client may send.

settings       what can be configured
meter          what may still pass
shared_meters  the meters that sessions share
valve          passes messages on, has them wait, discards them, or ends the session
"""
