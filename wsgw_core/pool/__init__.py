"""Which backend next: the configured backends, their order, and dialling them.

backend_pool      the backends of one gateway; each knows its group
backend_group     which backend of a group next
dialler           gives a session a connection: makes the dials of a search
backend_search    one backend after the other, and two at once where one is silent
dial_under_way    one of these dials, given up when there is a better choice
dial_gate         how many dials of one backend are under way at once; dial_gates: all of them
breaker           keeps sessions away from a backend that fails again and again
outage            refuses dials of a backend that is down by its own account, but for probes
health            asks backends whether they are there, without a session
backend_probe     asks them when there is no gateway, for `wsgw check --connect`
system_resolver   looks names up, each for all that dial it
discovery         keeps the backends of a DNS name in step with its addresses
whole_backend     carries out what a plugin says of its backend as a whole
open_backends     makes, opens and closes backends, at the start and while the gateway runs
deletions         what operators have deleted of the configuration
backend_exchange  puts those of a new configuration in the place of others, all or none
"""
