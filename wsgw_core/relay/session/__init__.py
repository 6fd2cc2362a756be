"""One client's session, from its first dial to its end.

session_state    the states and what leads from one to another, as a table
session_opener   opens a session: its route, its gates, its first backend
gatekeeper       asks gates, and checks what they answer and change
session          decides what each event leads to, failovers too
session_parts    the parts of a session, and its figures
backend_side     connects a session to the backend that serves, and releases it
closing_flush    delivers what a client has left behind, then its close
close_rules      the close for one side when the other has ended
"""
