"""Writes new plugins, for `wsgw new`.

plugin_name    derives all names from the one that the author chooses
distribution   fills in the templates and writes the files

`templates/every` holds what all plugins have, `templates/ROLE` the rest. The files are templates of
`string.Template` with the suffix `.in`; `PACKAGE` in a path stands for the package's name. With a
kind of 40 characters no line may exceed 100 characters; with a short kind the formatter must not
join lines. So no class is named after the kind.
"""
