"""The backends of one gateway, and how each of them fares.

backend_pool    the backends; each knows its group
turn            a backend's turn to be dialled, given back if it was passed over
health          asks backends whether they are there, without a session
breaker         keeps sessions away from a backend that fails again and again
outage          refuses dials of a backend that is down by its own account, but for probes
absence         has one dial at a time look for a backend that dials do not reach
whole_backend   carries out what a plugin says of its backend as a whole
"""
