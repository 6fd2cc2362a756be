"""From the entries of a configuration to the objects that plugins make.

loader         finds, imports and registers plugins
entry_points   names the distribution of an entry point, and import errors
entries        the entries that need plugins
plugin_specs   each entry with its registered kind and its checked options
factories      calls the factories of plugins
bounded_call   awaits code of plugins within a time limit
open_plugins   opens valves, listeners, gates and policies, keeps them over reloads, closes them
"""
