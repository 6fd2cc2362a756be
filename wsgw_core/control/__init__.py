"""What operators can read from a gateway and do to it, as plain data.

All data here can be converted to JSON and back. It contains no session, backend or other live
object, so a caller could also be in another process.

control        the interface: queries and commands
commands       the commands; each names its target by id
outcome        the result of a command, with the report of a reload
status         the answers to queries
events         events of sessions and backends
event_stream   logs events and passes them to followers
"""
