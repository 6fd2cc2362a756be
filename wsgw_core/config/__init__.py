"""What can be configured, and how it is read: from files and variables to frozen, checked models.

The models, each with its defaults and descriptions:

gateway_config      the whole; it holds the others
server_options      the gateway's own side: clients' and operators' addresses, headers, logs
upstream_options    backends, and entries of valves, listeners and gates
route_options       which clients are served by what; route_rules: what must not be said together
failover_options, drain_options, limit_options, server_tls_options, admin_token
names, address, origin_pattern, host_pattern   values that are written as text

How they are filled, in this order:

sources     reads the file and the variables, and merges them
yaml_file, toml_file   a file's values
variables, wsbalancer, wsbalancer_variables   values from the environment
layers      one source over the other
secrets     values that stand in files of their own
problems    what is wrong, with its place and the nearest known name

What plugins say of it, and the files that it names, is for `wsgw_core.loading`.

This file imports nothing: the table of variables is shown by `--help`, which must be there at once.
"""
