"""Backends that speak websocket: the default target of wsgw."""

__version__ = "0.1.0"
