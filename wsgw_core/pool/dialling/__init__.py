"""Gives a session a connection.

dialler          the settings of all dials of a group; starts a search for each session
backend_search   who is dialled next: one backend after the other, two at once where one is silent
dial             one of these dials, from the wait for its turn to the outcome
dial_limiter     how many dials of one backend are under way at once, for each backend
lookout          where sessions wait while all backends of their group are away
"""
