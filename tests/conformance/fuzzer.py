"""Runs the command `kosoku` in a form in which ServerProcess can start it: as a module."""

from __future__ import annotations

from importlib.metadata import entry_points

if __name__ == "__main__":
    [command] = entry_points(group="console_scripts", name="kosoku")
    command.load()()
