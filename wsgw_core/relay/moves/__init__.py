"""From a backend that lives to another.

session_moves   takes a session from one to another
planned_move    when each step of that is taken
stillness       tells the good moment: nobody is in the middle of something
move_retries    when a move that has failed is tried again
drain           has all sessions of a backend move
failback        has sessions return to backends of a lower priority number
move_pace       how many sessions begin to move in which time
"""
