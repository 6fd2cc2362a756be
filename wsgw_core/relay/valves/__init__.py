"""Runs the plugins that see and change messages.

valve_chain      the valves of one direction
session_valves   both directions of one session
valve_worker     runs asynchronous valves that have to wait
made_messages    checks messages that plugins have made
session_view     a session as plugins see it
"""
