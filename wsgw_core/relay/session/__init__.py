"""One client's life, from its first dial to its end.

session_state    the states and what leads from one to another, as a table
session_opener   opens a session: its route, its gates, its first backend
session          decides what happens
session_parts    what a session consists of
backend_side     joins a session to the backend that serves, and lets go of it
closing_flush    gives the backend what a client has left, then the client's close
close_rules      what one side hears of the other's end
"""
