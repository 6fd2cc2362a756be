"""The event loop of the drill's processes: a fast one, to spare the processor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

new_event_loop: Callable[[], asyncio.AbstractEventLoop]

try:
    from uvloop import new_event_loop
except ImportError:  # not available for every platform
    new_event_loop = asyncio.new_event_loop
