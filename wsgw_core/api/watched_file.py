"""Files that are read again when they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from .backend import BackendContext, Clock
from .bounded_file import read_bytes
from .daemon_thread import run_in_thread
from .rare_warning import RareWarning
from .registry import PluginContext

T = TypeVar("T")

_MOST = 64 * 1024
_LOOK_EVERY = 10.0  # seconds
_LONGEST_LOOK = 2.0  # seconds that users wait

_Seen = list[tuple[int, int, int] | None]


def read_parsed(file: str, parse: Callable[[str], T], most: int = _MOST) -> T:
    """Returns what `parse` makes of a file's text.

    Args:
        file: the file's name.
        parse: returns the value of a text; raises ValueError.
        most: maximum bytes of the file.

    Raises:
        ValueError: the file cannot be used; one line that names the file.
    """
    try:
        found = read_bytes(file, most)
        if len(found) > most:
            raise ValueError(f"larger than {most} bytes")  # noqa: TRY301 - named below, as others
        return parse(found.decode())
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: {getattr(error, 'strerror', None) or error}") from error


class WatchedFiles(Generic[T]):
    """Holds what was made of some files, and makes it again when they have changed.

    While the files cannot be used, for example because only one of a pair has been written, the old
    value stays, and each look tries again. The constructor reads files, so call it in a thread.

    Args:
        make: reads the files and returns the value, in a thread; raises ValueError.
        files: the names of the files.
        report: called after a look: with None when the files were read again, with the error when
            they cannot be used.
        clock: if given, `value` and `current` begin a look when the last one is ten seconds old.

    Attributes:
        is_usable: whether the files could be used at the last look.

    Raises:
        ValueError: the files cannot be used.
    """

    def __init__(
        self,
        make: Callable[[], T],
        files: Iterable[str],
        report: Callable[[ValueError | None], object],
        clock: Clock | None = None,
    ) -> None:
        self._make = make
        self._files = tuple(files)
        self._report = report
        self._clock = clock
        self._seen = self._look()
        self._value = make()
        self._task: asyncio.Task[None] | None = None
        self._hangs = False  # the look in progress
        self._look_at = clock.time() + _LOOK_EVERY if clock is not None else 0.0
        self.is_usable = True

    @property
    def value(self) -> T:
        """What was made at the last look. Does not wait for the look that it may begin."""
        self._look_if_due()
        return self._value

    async def current(self) -> T:
        """Returns what was made at most ten seconds ago; waits for a look if one is due.

        If the file system hangs, it returns the old value after two seconds, and then at once until
        the look ends. Meanwhile the files count as unusable.
        """
        self._look_if_due()
        if (task := self._task) is not None and not self._hangs:
            try:
                async with asyncio.timeout(_LONGEST_LOOK):
                    await asyncio.shield(task)
            except TimeoutError:
                if not task.done():  # as it is when it has ended just in time
                    self._hangs, self.is_usable = True, False
                    files = ", ".join(self._files)
                    self._report(ValueError(f"{files}: no answer for {_LONGEST_LOOK:g} s"))
        return self._value

    def begin_refresh(self) -> None:
        """Begins a look at the files in the background, unless one is in progress."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self.refresh())

    def _look_if_due(self) -> None:
        if self._clock is not None and (now := self._clock.time()) >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self.begin_refresh()

    async def refresh(self) -> None:
        """Looks at the files, and reads them if they have changed or could not be used before."""
        try:
            found = await run_in_thread(self._read_if_changed)
        except ValueError as error:
            self.is_usable = False
            self._report(error)
        except RuntimeError:  # no thread left; the next look comes soon
            pass
        else:
            self.is_usable = True
            if found is not None:
                self._seen, self._value = found
                self._report(None)
        finally:
            self._task, self._hangs = None, False

    def _read_if_changed(self) -> tuple[_Seen, T] | None:
        seen = self._look()  # before the reading: a change in between is seen the next time
        return None if seen == self._seen else (seen, self._make())

    def _look(self) -> _Seen:
        return list(map(_identity, self._files))


class WatchedFile(WatchedFiles[T]):
    """A small file that wsgw reads again when it has changed; looked at every ten seconds of use.

    If the file cannot be used any more, the old value stays, with a warning. The constructor reads
    the file, so call it with `run_in_thread`.

    Args:
        file: the file's name.
        parse: returns the value of the file's text, in a thread; raises ValueError.
        context: the context of the backend, valve or gate.
        most: maximum bytes of the file.

    Attributes:
        is_usable: whether the file could be used at the last look.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(
        self,
        file: str,
        parse: Callable[[str], T],
        context: BackendContext | PluginContext,
        *,
        most: int = _MOST,
    ) -> None:
        warn = RareWarning(context.logger)

        def report(error: ValueError | None) -> None:
            if error is None:
                context.logger.info("%s has changed and was read", file)
            else:
                warn("what was read from a file before stays in use: %s", error)

        super().__init__(lambda: read_parsed(file, parse, most), (file,), report, context.clock)


def _identity(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()  # follows the links by which files are exchanged
    except (OSError, ValueError):  # no such file, or no name that a file can have
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
