"""A valve for wsgw that masks card numbers."""
