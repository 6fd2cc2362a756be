"""The backends of one gateway, each with its state.

backend_pool    the backends; each knows its group
backend_logger  logs what the plugin of a backend reports
guarded_connection   a plugin's connection whose faults concern only its own session
turn            a backend's turn to be dialled; it returns the turn if it was not dialled
health          probes backends without a session
breaker         keeps sessions away from a backend that fails repeatedly
outage          refuses dials of a backend that its plugin reports as down, except for probes
absence         lets one dial at a time look for a backend that dials do not reach
watchers        tells those who watch backends what has changed
whole_backend   carries out what a plugin reports about its whole backend
"""
