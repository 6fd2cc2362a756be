"""The URLs of one session's events."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from wsgw_core.api import BackendDeclined, DialRequest, UrlTemplate

from .exchange import Target
from .settings import HttpSettings


@dataclass(frozen=True, slots=True)
class SessionUrls:
    """Where the events of a session go; None: not sent."""

    connect: Target | None
    message: Target
    disconnect: Target | None

    @classmethod
    def of(
        cls, settings: HttpSettings, request: DialRequest, subprotocol: str | None
    ) -> SessionUrls:
        """Fill the templates.

        Raises:
            BackendDeclined: with 400; see Template.
        """
        query = request.path.partition("?")[2] if settings.pass_query else ""

        def target(template: UrlTemplate | bool | None) -> Target | None:
            if template is False:
                return None
            used = template if isinstance(template, UrlTemplate) else settings.url
            return _target(used.expand(request, subprotocol), query)

        events = settings.events
        message = target(events.message)
        assert message is not None  # noqa: S101 - for the type checker
        return cls(target(events.connect), message, target(events.disconnect))

    def hosts(self) -> set[tuple[str, int]]:
        """Return the hosts and ports."""
        targets = (self.connect, self.message, self.disconnect)
        urls = (target.url for target in targets if target is not None)
        return {(url.raw_host or "", url.port or 0) for url in urls}


def _target(text: str, query: str) -> Target:
    if query:
        text += ("&" if "?" in text else "?") + query
    try:
        return Target(URL(text, encoded=True))
    except ValueError as error:
        headers = (("Content-Type", "text/plain; charset=utf-8"),)
        raise BackendDeclined(400, headers, b"the URL is not valid\n") from error
