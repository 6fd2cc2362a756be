"""From a lost backend to one that lasts.

recovery        looks for another backend, and watches whether it lasts
failover        hold and backoff: how long and how often a session dials other backends
session_dials   dials a session's backends
dial_requests   the request for each dial
acceptances     the backends to call when the session ends
replacement     a connection that was dialled while another backend still serves
"""
