"""From the names in a configuration to the objects that plugins make for them.

loader        finds, imports and registers plugins
entry_points  whose they are, and how they failed to be imported
entries       what of a configuration plugins stand for
components    each entry with its plugin's kind and its checked options
factories     make the objects
open_plugins  opens them, keeps them over reloads, and closes them: valves, listeners, gates,
              policies
"""
