"""The configuration: its options, and how they are read from a file and from variables.

The models, each with its defaults and descriptions:

gateway_config      the whole configuration; contains the other models
server_options      frontend, admin API, headers, logging
upstream_options    backends, and the entries of valves, listeners, gates and policies
route_options       routes
route_rules         rules that involve more than one key
failover_options, drain_options, limit_options, server_tls_options, admin_token
names, address, patterns   values that are written as text

The steps of reading, in this order:

sources                reads the file and the variables, and merges them
yaml_file, toml_file   read the file
variables              reads the variables `WSGW_...`
wsbalancer, wsbalancer_variables   read the variables of wsbalancer
layers                 merges the sources
secrets                reads secrets from files
problems               words problems: the place, the value found, what is allowed

`wsgw_core.loading` adds the options of plugins and checks the named files.

This file imports nothing: `--help` shows the table of variables and must be fast.
"""
