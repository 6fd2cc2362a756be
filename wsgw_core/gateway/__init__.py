"""One gateway: assembles the parts of all packages.

gateway            starts, reloads and stops a gateway
generation         all that belongs to one configuration; a reload replaces it as a whole
changes            what a reload changes, and what needs a restart
session_settings   builds routes and session contexts from a configuration
frontend_settings  builds the settings of handshakes and client timeouts from a configuration
upstream           opens, finds, replaces, drains and removes backends
exposition         the metrics in Prometheus' format
host_collector     the metrics in the registry of a program that embeds the gateway
local_control      answers the queries and commands of `wsgw_core.control`
described          converts live objects to the plain data of `wsgw_core.control`
"""
