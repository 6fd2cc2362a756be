"""The `wsgw` command.

main          the command and its subcommands:
run, reload, check, schema, plugins, new, version
commands      the group that these are in, and commands of other distributions
config_option the option -c, and what is loaded by it
values        what options take: numbers, and whatever a function reads
failures      what an error looks like

Modules in here import at their top only what `--help` needs, which is click: help is there at once
and also when a plugin or a library is broken.
"""
