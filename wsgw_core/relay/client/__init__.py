"""The client of a session.

client_side       sends to the client, and says whether its backend is read
forwarded_pings   the client's pings that its backend answers
"""
