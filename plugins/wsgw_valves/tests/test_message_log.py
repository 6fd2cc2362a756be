"""The valve `message-log`: alone, and in a gateway."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json
from websockets.asyncio.client import connect
from wsgw_valves import plugin
from wsgw_valves.json_path import JsonPath
from wsgw_valves.message_log.line_queue import LineQueue
from wsgw_valves.message_log.log_file import LogFile
from wsgw_valves.message_log.redaction import Redaction, Unredactable
from wsgw_valves.message_log.settings import MessageLogSettings
from wsgw_valves.safe_pattern import SafePattern

from wsgw_core.api import ConfigurationError, Counter, RareWarning
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench

from .conftest import StartGateway

TIMEOUT = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "messages.log"


def bench_of(file: Path, **options: Any) -> ValveBench:
    options = {key.replace("_", "-"): value for key, value in options.items()}
    return ValveBench.of(plugin, "message-log", {"file": str(file), **options})


def lines_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


# Lines


async def test_each_message_has_a_line_and_passes(file: Path) -> None:
    async with bench_of(file) as bench:
        assert await bench.to_backend("héllo\n", b"\x00\xff") == ["héllo\n", b"\x00\xff"]
        assert await bench.to_client("yes") == ["yes"]
    lines = lines_in(file)
    times = [line.pop("time") for line in lines]
    assert times == sorted(times)
    assert all(each.endswith("+00:00") for each in times)
    common = {"session": "session-1", "backend": "blue"}
    assert lines == [
        {**common, "direction": "to-backend", "kind": "text", "size": 7, "text": "héllo\n"},
        {**common, "direction": "to-backend", "kind": "binary", "size": 2, "omitted": "binary"},
        {**common, "direction": "to-client", "kind": "text", "size": 3, "text": "yes"},
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # noqa: ASYNC240 - nothing else runs


async def test_directions_option_selects_one_direction(file: Path) -> None:
    async with bench_of(file, directions="to-client", content=False) as bench:
        await bench.to_backend("a")
        await bench.to_client("b")
    [line] = lines_in(file)
    assert line["direction"] == "to-client"
    assert not {"text", "omitted"} & {*line}


async def test_long_text_is_cut_between_characters(file: Path) -> None:
    async with bench_of(file, max_text=10) as bench:
        await bench.to_backend("x" * 10, "x" * 11, "ü" * 10, "x" + "ü" * 10)
    assert [(line["text"], line.get("cut")) for line in lines_in(file)] == [
        ("x" * 10, None),
        ("x" * 10, True),
        ("ü" * 5, True),
        ("x" + "ü" * 4, True),
    ]


async def test_lines_go_to_gateway_log_without_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with ValveBench.of(plugin, "message-log", {}) as bench:
        await bench.to_backend("a\nb")
    [line] = [record.getMessage() for record in caplog.records if '"text"' in record.getMessage()]
    assert json.loads(line)["text"] == "a\nb"


async def test_thousands_of_lines_leave_turns_to_others() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with ValveBench.of(plugin, "message-log", {}) as bench:
        await bench.to_backend(*["hello"] * 2000)
        counting = asyncio.create_task(count_turns())
    counting.cancel()
    assert turns > 50


# Redaction


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.a", {"a": "***", "b": [{"a": 1, "c": {"a": 2}}, 3], "x y": 4}),
        ("$..a", {"a": "***", "b": [{"a": "***", "c": {"a": "***"}}, 3], "x y": 4}),
        ("$.b[*].a", {"a": {"d": 0}, "b": [{"a": "***", "c": {"a": 2}}, 3], "x y": 4}),
        ("$.b[1]", {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": 2}}, "***"], "x y": 4}),
        ("$.b[0].c.a", {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": "***"}}, 3], "x y": 4}),
        ("$['x y']", {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": 2}}, 3], "x y": "***"}),
        ("$.*", {"a": "***", "b": "***", "x y": "***"}),
        ("$..c.a", {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": "***"}}, 3], "x y": 4}),
        ("$.b[7]", {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": 2}}, 3], "x y": 4}),
        ("$.none.a", {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": 2}}, 3], "x y": 4}),
    ],
)
def test_path_replaces_values(path: str, left: object) -> None:
    document = {"a": {"d": 0}, "b": [{"a": 1, "c": {"a": 2}}, 3], "x y": 4}
    JsonPath(path).replace(document, "***")
    assert document == left


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "not a path"),
        ("$", "not a path"),
        ("a.b", "not a path"),
        ("$.", "not a path"),
        ("$.a.", "not a path"),
        ("$a", "not a path"),
        ("$.a[-1]", "not a path"),
        ("$.a[01]", "not a path"),
        ("$['a]", "not a path"),
        ("$.a[?(@.b)]", "not a path"),
        ("$..a..b", "more than once"),
    ],
)
def test_invalid_path_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        JsonPath(path)


async def test_secrets_are_not_logged_and_pass(file: Path) -> None:
    options = {
        "redact_paths": ["$..password"],
        "redact": [r"\b[0-9]{13,19}\b", "(?i)bearer [a-z0-9._-]+"],
        "max_redacted": 1000,
    }
    texts = [
        '{"user": {"password": "a1", "p\\u0061ssword": "b2"}, "card": "4111111111111111"}',
        '{"password": ["c3"], "note": "see Bearer abc.def"}',
        'password=d4 {"',
        "[" * 3000 + '{"password": "e5"}',
        '{"password": "f6"}' + " " * 1000,
        '"' + "4111111111111111 " * 50 + '"',
    ]
    async with bench_of(file, **options) as bench:
        assert await bench.to_backend(*texts) == texts
    lines = lines_in(file)
    assert [line.get("text") for line in lines] == [
        '{"user":{"password":"***"},"card":"***"}',
        '{"password":"***","note":"see ***"}',
        None,
        None,
        None,
        '"' + "*** " * 50 + '"',
    ]
    assert [line.get("omitted") for line in lines] == [None, None, "not-json", "size", "size", None]


async def test_json_of_too_many_lists_is_logged_as_too_large(file: Path) -> None:
    text = "[" + ",".join(["[]"] * 65_536) + "]"
    async with bench_of(file, redact_paths=["$..password"], max_redacted="1MiB") as bench:
        await bench.to_backend(text)
    [line] = lines_in(file)
    assert (line["omitted"], "text" in line) == ("size", False)


async def test_text_is_redacted_before_it_is_cut(file: Path) -> None:
    async with bench_of(file, redact=["secret-[0-9]{20}"], max_text=30) as bench:
        await bench.to_backend("x" * 20 + "secret-" + "7" * 20)
    assert [line["text"] for line in lines_in(file)] == ["x" * 20 + "***"]


def test_hostile_pattern_is_matched_fast() -> None:
    texts = [b"a" * 60_000 + b"!", b"x" * 60_000, b"a:" * 30_000]
    for pattern in ("(a+)+$", "x(.*@)?", "(a|a)*b", "([a-z:]+)+@"):
        redaction = Redaction((), [SafePattern(pattern)], 100_000)
        for text in texts:
            begin = time.thread_time()
            with suppress(Unredactable):  # too many matches
                redaction.of(text)
            assert time.thread_time() - begin < 2


@given(
    st.text()
    | st.recursive(st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
    .map(to_json)
    .map(bytes.decode)
)
def test_any_text_can_be_redacted(text: str) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    redaction = Redaction([JsonPath("$..a"), JsonPath("$.*[0]")], [SafePattern("[0-9]+")], 1000)
    try:
        found = redaction.of(data)
    except Unredactable:
        return
    found.decode()


def test_deep_documents_are_redacted_in_time() -> None:
    deep = ("[" * 200 + "]" * 200).encode()
    assert Redaction([JsonPath("$..a")], [], 1000).of(deep) == deep
    wide = to_json({"a": {str(number): {"a": number} for number in range(50_000)}})
    begin = time.thread_time()
    Redaction([JsonPath("$..a"), JsonPath("$.a.*.a")], [], 10**7).of(wide)
    assert time.thread_time() - begin < 2


# Files


def test_file_is_rotated_by_size(file: Path) -> None:
    log = LogFile(str(file), 100, 2)
    for number in range(5):
        log.write([f"{number}".encode() * 60 + b"\n"])
    log.close()
    assert [path.name for path in sorted(file.parent.iterdir())] == [
        "messages.log",
        "messages.log.1",
        "messages.log.2",
    ]
    assert [file.with_name(f"messages.log{end}").read_text()[0] for end in ("", ".1", ".2")] == [
        *"432"
    ]


def test_lines_of_one_write_may_fill_several_files(file: Path) -> None:
    log = LogFile(str(file), 100, 9)
    log.write([f"{number}".encode() * 60 + b"\n" for number in range(5)])
    log.write([b"x" * 1000 + b"\n", b"y\n"])
    log.close()
    sizes = [each.stat().st_size for each in sorted(file.parent.iterdir())]
    assert sizes == [2, 1001, 61, 61, 61, 61, 61]


@pytest.mark.parametrize("how", ["moved", "removed"])
def test_moved_or_removed_file_is_opened_again(file: Path, how: str) -> None:
    log = LogFile(str(file), None, 1)
    log.write([b"one\n"])
    if how == "moved":
        file.rename(file.with_suffix(".old"))
    else:
        file.unlink()
    log.write([b"two\n"])
    log.close()
    assert file.read_text() == "two\n"


def test_lines_are_appended_to_existing_file(file: Path) -> None:
    file.write_text("before\n")
    log = LogFile(str(file), 1000, 1)
    log.write([b"after\n"])
    log.close()
    assert file.read_text() == "before\nafter\n"


@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere"])
async def test_unwritable_file_is_refused(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    problem = make(target, kind)
    if kind == "nowhere":
        target = target / "file"
    settings = MessageLogSettings.model_validate({"file": str(target)})
    assert [key for key, _ in settings.file_problems()] == ["file"]
    with pytest.raises(ConfigurationError, match=f"'message-log': file: .*{problem}"):
        await bench_of(target).__aenter__()


def make(target: Path, kind: str) -> str:
    if kind == "folder":
        target.mkdir()
        return "Is a directory"
    if kind == "pipe":
        os.mkfifo(target)
        return "No such device"
    return "No such file"


# The queue


class Disk:
    """A disk that writes when the test allows it."""

    def __init__(self) -> None:
        self.may_write = asyncio.Event()
        self.error: Exception | None = None
        self.written: list[bytes] = []
        self.began = asyncio.Event()

    async def write(self, lines: list[bytes]) -> None:
        self.began.set()
        await self.may_write.wait()
        if self.error is not None:
            raise self.error
        self.written += lines


def queue_on(disk: Disk, most: int) -> tuple[LineQueue, Counter]:
    lost = Counter("lost", "Lines.")
    warn = RareWarning(logging.getLogger("tested"))
    return LineQueue(disk.write, most, asyncio.get_running_loop(), warn, lost), lost


async def test_slow_disk_delays_no_message_and_lines_are_bounded() -> None:
    disk = Disk()
    queue, lost = queue_on(disk, 100)
    queue.put(b"x" * 59 + b"\n")
    async with asyncio.timeout(TIMEOUT):
        await disk.began.wait()
        for _ in range(5):
            queue.put(b"y" * 19 + b"\n")
        assert (queue.waiting_bytes, lost.value) == (100, 3)
        disk.may_write.set()
        await queue.flush()
    assert queue.waiting_bytes == 0
    assert disk.written == [b"x" * 59 + b"\n", b'{"lost":3}\n', *[b"y" * 19 + b"\n"] * 2]


async def test_full_disk_loses_lines_and_logs_the_number_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk()
    disk.may_write.set()
    disk.error = OSError(28, "No space left on device")
    queue, lost = queue_on(disk, 100)
    async with asyncio.timeout(TIMEOUT):
        for _ in range(2):
            queue.put(b"a\n")
            await queue.flush()
        assert lost.value == 2
        disk.error = None
        queue.put(b"b\n")
        await queue.flush()
    assert disk.written == [b'{"lost":2}\n', b"b\n"]
    assert lost.value == 2
    assert len([record for record in caplog.records if "No space" in record.getMessage()]) == 1


async def test_hanging_file_system_loses_only_lines(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, go_on = threading.Event(), threading.Event()
    write = LogFile.write

    def hanging(log: LogFile, lines: list[bytes]) -> None:
        hangs.set()
        go_on.wait(TIMEOUT)
        write(log, lines)

    monkeypatch.setattr(LogFile, "write", hanging)
    async with bench_of(file, buffer="64KiB", max_text="64KiB") as bench:
        await bench.to_backend("first")
        async with asyncio.timeout(TIMEOUT):
            while not hangs.is_set():  # noqa: ASYNC110 - it is in a thread
                await asyncio.sleep(0.01)
        texts = ["x" * 20_000] * 10
        assert await bench.to_backend(*texts) == texts
        counted = samples(bench.context.metrics)
        assert counted["wsgw_message_log_lost_total"] == 7
        assert counted["wsgw_message_log_waiting_bytes"] < 64 * 1024
        go_on.set()
    assert [line.get("lost", line.get("size")) for line in lines_in(file)] == [
        *(5, 7),
        *[20_000] * 3,
    ]


# Options


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keep": 3}, "'keep' needs 'file'"),
        ({"max-file-size": "1GiB"}, "'max-file-size' needs 'file'"),
        ({"file": "a", "keep": 0}, "keep: "),
        ({"file": ""}, "file: "),
        ({"redact": ["("]}, r"redact\[0\]: .*not a regular expression \(RE2\): missing \): \($"),
        ({"redact": ["(?=a)"]}, r"redact\[0\]: .*invalid perl operator"),
        ({"redact": ["a*"]}, r"redact\[0\]: .*matches an empty text"),
        ({"redact-paths": ["a"]}, r"redact-paths\[0\]: .*not a path such as"),
        ({"buffer": 10}, "buffer: "),
        ({"redact": [rf"{number}\pL{{400}}" for number in range(3)]}, "all together: .*too large"),
        ({"directions": "in"}, "directions: "),
    ],
)
async def test_invalid_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ValveBench.of(plugin, "message-log", options)


# In a gateway


async def test_stopping_gateway_writes_all_lines(start_gateway: StartGateway, file: Path) -> None:
    gateway = await start_gateway(
        valves=[
            {
                "kind": "message-log",
                "file": str(file),
                "redact-paths": ["$.token"],
                "max-file-size": "64KiB",
                "keep": 100,
            }
        ]
    )
    async with connect(gateway.url) as client:
        for number in range(500):
            await client.send(json.dumps({"number": number, "token": "secret", "x": "y" * 200}))
            await client.recv()
    await gateway.gateway.stop()
    lines = [line for each in sorted(file.parent.iterdir()) for line in lines_in(each)]
    for direction in ("to-backend", "to-client"):
        told = [json.loads(each["text"]) for each in lines if each["direction"] == direction]
        assert sorted(each["number"] for each in told) == [*range(500)]
        assert {each["token"] for each in told} == {"***"}
    assert len([*file.parent.iterdir()]) > 2
    assert gateway.count("message_log_lost") == 0
