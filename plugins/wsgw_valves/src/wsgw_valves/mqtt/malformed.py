"""What no MQTT packet looks like."""


class MalformedPacket(ValueError):
    """The bytes are no packet, or one that cannot come here; the text says why."""
