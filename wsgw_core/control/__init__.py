"""What operators can know of a gateway and do to it, as plain data.

Everything here can be written as JSON and read again: no session, backend or other live object
passes this door. So whoever asks may one day be in another process than the gateway.

control        the door: what can be asked and done
commands       what can be done, each to something that is named by its id
outcome        what came of a command
reload_report  what a reload has changed
status         what there is to know of a gateway and its parts
events         what happens to sessions and backends; event_stream: passes it on
"""
