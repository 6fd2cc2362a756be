"""The client of a session.

client_side    what the client is sent, and whether its backend is read; the client's end is its
               socket, as the session sees it
forwarded_pings   pings of the client that its backend answers
"""
