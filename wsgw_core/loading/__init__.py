"""What a command does with a configuration before it runs a gateway.

configuration  all of it: sources, plugins, checks
added_backend  the same for the entry of a backend that an operator adds
references     whether the files named in it can be used, and what has no effect
named_files    finds keys that name files, which the admin API may not give
trial          makes once what plugins provide, for `wsgw check`
effective      `wsgw check`: the configuration as it is in effect
schema         `wsgw schema`
"""
