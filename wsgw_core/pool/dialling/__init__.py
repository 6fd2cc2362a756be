"""Gives a session a connection to a backend.

dialler          starts a search for each session; has the settings of all dials of a group
backend_search   dials one backend after another, and a second one in parallel to a silent one
dial             one dial, from the wait for its turn to its outcome
dial_limiter     limits how many dials of one backend are in progress
lookout          lets sessions wait while all backends of their group are away
"""
