"""The `wsgw` command.

Modules in here import at their top only what `--help` needs, which is click: help is there at once
and also when a plugin or a library is broken.
"""
