"""One gateway: puts the parts of all packages together.

gateway            its start, its reloads, its end
generation         what belongs to one configuration, and is replaced as a whole by a reload
changes            what a reload may change
session_settings, frontend_settings   what a configuration means for sessions, and for the
                   clients' door
upstream           its backends: opened, looked for, exchanged, drained, removed
exposition         all metrics as Prometheus wants them; host_collector: in the registry of a
                   program that embeds the gateway
local_control      what operators ask and do; the door is `wsgw_core.control`
described          what they are told, made of live objects
"""
