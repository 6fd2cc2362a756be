"""Writes new plugins; behind `wsgw new`.

plugin_name    the names that follow from the one that the author chooses
distribution   fills in the templates and writes the files

`templates/every` holds what all plugins have, `templates/ROLE` the rest. The files are templates of
`string.Template` with the suffix `.in`; `PACKAGE` in a path stands for the package's name. No line
may become longer than 100 characters by a kind of 40, and none may become so short that the
formatter would join it with its neighbours: so no class is named after the kind.
"""
