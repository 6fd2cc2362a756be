"""What can be configured, and how it is read: from files and variables to frozen, checked models.

The models, each with its defaults and descriptions:

gateway_config      the whole; it holds the others
server_options      the gateway's own side: clients' and operators' addresses, headers, logs
upstream_options    backends, and entries of valves, listeners and gates
route_options       which clients are served by what; route_rules: what must not be said together
failover_options, drain_options, limit_options, server_tls_options, admin_token
names, address, origin_pattern, path_pattern, host_pattern   values that are written as text

How they are filled, in this order:

loading     all that the command does before it starts
added_backend   the same for the entry of a backend that an operator adds
sources     reads the file and the variables, and merges them
named_files    finds keys that name files, which the admin API may not give
yaml_file, toml_file   a file's values, and their lines
variables, wsbalancer, wsbalancer_variables   values from the environment
layers      one source over the other
secrets     values that stand in files of their own
problems    what is wrong, with its place and the nearest known name
entries     what plugins have to provide
references  whether the files named in it can be used

What is done with them:

effective   `wsgw check`
schema      `wsgw schema`
changes     what a reload may change

This file imports nothing: the table of variables is shown by `--help`, which must be there at once.
"""
