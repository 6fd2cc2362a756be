"""Planned moves: a session leaves a live backend for another one.

session_moves   plans a session's moves and takes their steps
planned_move    decides when each step is taken
quiet_check     finds the good moment: nothing is in flight, and nothing has come for a while
move_retries    says when a session may try again after a move that failed
drain           has all sessions of a backend move
failback        has sessions return to backends of a lower priority number
move_pace       spreads the moves of many sessions over time
"""
