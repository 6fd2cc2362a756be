"""The pauses between the attempts of a request."""

from __future__ import annotations

import random

from .failures import Failure, Unavailable
from .settings import HttpSettings


class RetryPauses:
    """Doubles the pause for each retry, with jitter, and obeys `Retry-After` up to a limit.

    Args:
        settings: the backend's.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._first = settings.retry_backoff
        self._most = settings.max_retry_backoff
        self._most_asked = settings.max_retry_after

    def before(self, retry: int, failure: Failure) -> float:
        """Returns the seconds to wait before a retry.

        Args:
            retry: 1 for the first.
            failure: of the attempt before.
        """
        pause = min(self._first * 2.0 ** (retry - 1), self._most)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries
        if isinstance(failure, Unavailable) and failure.retry_after:
            return min(failure.retry_after, self._most_asked) + pause
        return pause
