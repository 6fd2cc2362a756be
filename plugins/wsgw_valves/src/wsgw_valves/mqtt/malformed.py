"""The error for invalid packets."""


class MalformedPacket(ValueError):
    """A packet is invalid, or not allowed at this point; the text says why."""
