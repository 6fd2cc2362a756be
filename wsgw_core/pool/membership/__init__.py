"""Adds and removes backends.

open_backends      makes, opens and closes backends, at the start and while the gateway runs
backend_changes    replaces backends by those of a new configuration, all or none
deletions          the configured backends that operators have deleted
discovery          keeps the backends of a DNS name in step with its addresses
system_resolver    looks up names, once for all dials
backend_probe      probes backends without a gateway, for `wsgw check --connect`
"""
