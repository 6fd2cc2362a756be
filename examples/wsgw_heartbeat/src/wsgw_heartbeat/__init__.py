"""A valve for wsgw that answers heartbeats."""
