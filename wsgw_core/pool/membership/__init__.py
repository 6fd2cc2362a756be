"""Which backends there are.

open_backends      makes, opens and closes backends, at the start and while the gateway runs
backend_exchange   puts those of a new configuration in the place of others, all or none
deletions          what operators have deleted of the configuration
discovery          keeps the backends of a DNS name in step with its addresses
system_resolver    looks names up, each for all that dial it
backend_probe      asks backends when there is no gateway, for `wsgw check --connect`
"""
