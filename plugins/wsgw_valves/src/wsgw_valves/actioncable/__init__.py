"""Action Cable subscriptions continue at the next server.

settings       the options
reading        parses the relevant messages
subscriptions  the subscriptions of one session
valve          the valve
"""
