"""Writes new plugin distributions; behind `wsgw new`.

plugin_name    the names that follow from the one that the author chooses
distribution   fills the templates in and writes the files

`templates/every` holds what each kind of plugin has, `templates/KIND` the rest. Templates are those
of `string.Template`; `PACKAGE` in a path stands for the package's name.
"""
