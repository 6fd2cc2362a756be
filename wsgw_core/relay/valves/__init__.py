"""The plugins that see and change messages.

valve_chain      the valves of one direction
session_valves   both directions of one session
valve_worker     goes on with asynchronous valves that have to wait
made_messages    checks what plugins have made
session_view     what plugins see of a session
"""
