"""wsgw: a websocket gateway that keeps its clients and loses no message.

To embed it, see `wsgw_core.gateway.Gateway`; to extend it, `wsgw_core.api`.
"""

__version__ = "0.1.0"
