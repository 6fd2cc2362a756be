"""The user name at the broker, and a password that may change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from aiormq.exceptions import AMQPError

from wsgw_core.api import BackendContext, BackendUnavailable, read_parsed, run_in_thread

from .link import AmqpLink
from .settings import AmqpSettings

_GUEST = "guest"
_LOOK_EVERY = 10.0  # seconds


class Credentials:
    """The user name and password of one backend.

    Args:
        settings: the backend's.

    Attributes:
        username: the user name.
    """

    def __init__(self, settings: AmqpSettings) -> None:
        parts = urlsplit(settings.url)
        self.username = settings.username or unquote(parts.username or "") or _GUEST
        self._file = settings.password_file
        given = settings.password.get_secret_value() if settings.password is not None else None
        self._password = given or unquote(parts.password or "") or _GUEST

    @property
    def are_in_file(self) -> bool:
        """Whether the password is in a file, and so can change."""
        return self._file is not None

    async def password(self) -> str:
        """Returns the current password.

        Raises:
            BackendUnavailable: the file cannot be read or is empty.
        """
        if self._file is not None:
            self._password = await run_in_thread(self._read)
        return self._password

    async def changed_password(self) -> str | None:
        """Reads the password again, and returns it if it has changed; otherwise None.

        Raises:
            BackendUnavailable: the file cannot be read or is empty.
        """
        before = self._password
        return after if (after := await self.password()) != before else None

    def _read(self) -> str:
        assert self._file is not None  # noqa: S101 - for the type checker
        try:
            return read_parsed(self._file, _password_in)
        except ValueError as error:
            raise BackendUnavailable(f"password-file: {error}") from error


def _password_in(text: str) -> str:
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ValueError("is empty")
    return password


class PasswordWatch:
    """Sends the broker a new password when the file has changed.

    Without that, a broker whose passwords expire would close the link.

    Args:
        credentials: the backend's.
        context: the backend's.
        current: returns the link, or None.
    """

    def __init__(
        self,
        credentials: Credentials,
        context: BackendContext,
        current: Callable[[], AmqpLink | None],
    ) -> None:
        self._credentials = credentials
        self._logger = context.logger
        self._timeout = context.limits.close_timeout
        self._current = current
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts to look at the file every ten seconds, if there is one."""
        if self._credentials.are_in_file:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Stops."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self._tell()
            except (AMQPError, BackendUnavailable, OSError) as error:
                self._logger.warning("cannot send the broker the new password: %s", error)

    async def _tell(self) -> None:
        link = self._current()
        if link is None or (password := await self._credentials.changed_password()) is None:
            return
        async with asyncio.timeout(self._timeout):
            await link.update_secret(password)
        self._logger.info("sent the broker a new password")
