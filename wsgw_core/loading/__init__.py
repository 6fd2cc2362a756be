"""Loads and checks a whole configuration, including plugins and files.

configuration  loads sources and plugins, and checks all options
added_backend  checks the entry of a backend that an operator adds
references     checks named files; warns about keys without effect and doubtful values
named_files    finds keys that name files
trial          makes each plugin object once, for `wsgw check`
effective      writes the effective configuration, for `wsgw check`
schema         the JSON schema, for `wsgw schema`
"""
