"""The `wsgw` command.

main           the command; prints errors
run, reload, new   one subcommand each
check          the subcommands check and schema
plugins        the subcommands plugins and version
commands       the group of subcommands, including those of other distributions
config_option  the option -c; loads the configuration
values         types of option values

At their top, these modules import only click and what `--help` shows. So help is fast, and it works
when a plugin or a library is broken.
"""
