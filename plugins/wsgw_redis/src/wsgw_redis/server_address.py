"""The address of Redis, from a URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix")
_PORT, _SENTINEL_PORT = 6379, 26379
_EXAMPLES = (
    "redis://[user:password@]host[:port][/db], unix:///path?db=0,"
    " or redis+sentinel://host:26379,host:26379/MASTER[/db]"
)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The parts of a URL.

    Attributes:
        hosts: the server's, or those of the Sentinels; empty for a socket file.
        path: of the socket file; otherwise empty.
        master: the Sentinels' name of the master; otherwise empty.
        database: number of the database.
        username, password: empty if the URL has none.
        secure: whether wsgw uses TLS.
    """

    hosts: tuple[tuple[str, int], ...]
    path: str = ""
    master: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    secure: bool = False

    @property
    def server(self) -> tuple[object, ...]:
        """Identifies the server and the database, whoever connects."""
        return self.hosts, self.path, self.master, self.database

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """Parses a URL.

        Raises:
            ValueError: the URL is not valid; the text quotes nothing of it.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or parts.fragment:
            raise ValueError(f"not a URL such as {_EXAMPLES}")
        login, _, hosts = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        query = parse_qs(parts.query)
        if parts.query and (parts.scheme != "unix" or set(query) != {"db"}):
            raise ValueError("has a query; only unix:///path may have one: '?db=N'")
        if parts.scheme == "unix":
            if hosts or not parts.path.strip("/"):
                raise ValueError("a socket file is written as unix:///path?db=0")
            return cls(
                (),
                path=unquote(parts.path),
                database=_number("database", query.get("db", ["0"])[-1]),
                username=unquote(username),
                password=unquote(password),
            )
        sentinels = parts.scheme.endswith("+sentinel")
        segments = [unquote(each) for each in parts.path.strip("/").split("/")]
        master = segments.pop(0) if sentinels else ""
        database = segments.pop(0) if segments else ""
        if segments:
            raise ValueError(f"has a path that is too long: {_EXAMPLES}")
        if sentinels and not master:
            raise ValueError("has no master: redis+sentinel://host:26379,host:26379/MASTER")
        found = tuple(
            _host(each, _SENTINEL_PORT if sentinels else _PORT) for each in hosts.split(",")
        )
        if len(found) > 1 and not sentinels:
            raise ValueError("has several hosts; only redis+sentinel:// may have them")
        return cls(
            found,
            master=master,
            database=_number("database", database or "0"),
            username=unquote(username),
            password=unquote(password),
            secure=parts.scheme.startswith("rediss"),
        )


def _host(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError(f"has no host, or no valid port: {_EXAMPLES}")
    return host, port or default_port


def _number(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ValueError(f"the {what} is not a number such as 0")
    return int(text)
