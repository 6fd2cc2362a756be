"""From a lost backend to one that lasts.

recovery        looks for another backend, and watches whether it lasts
failover        hold and backoff: for how long another one is looked for, and how often
dial_requests   what backends are asked for, and told
session_dials   dials backends for one session
acceptances     the backends that hear of a session's end
replacement     a connection that is ready for a session while another one serves
"""
