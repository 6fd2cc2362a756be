"""Changes the code in small ways, one at a time, and checks whether the tests detect it.

usage: mutants.py [--sample N] [--seed S] [--jobs J] [ROOM ...]

A mutant is one small change that cosmic-ray makes, such as `<` to `<=`. A sample of N mutants is
taken of each room, at random but the same for the same seed. The tests of a room run once with the
unchanged code, which records the lines that each test runs. For a mutant only those tests run that
run a line of the changed statement, the fastest first. What a module runs at its import, such as a
default or a constant, belongs to no test: for it all tests run that run code in the folder of the
module, first those that run code of the module itself.

A mutant is caught if a test fails, and survives if all pass or no test covers it. If the tests take
LONGER times as long as with the unchanged code, they are ended: the mutant hangs, and is not
caught, since a test must bound what it waits for. Mutants that no test has to detect are listed in
excused_mutants.toml, each with the reason; they do not run and do not count. The others are printed
in the form of that list. The exit status is 0 if at least BAR percent of the mutants that count are
caught, 1 if fewer are, 2 if the unchanged code fails or a signal ends the run.

The working tree stays as it is: each job changes a copy, in build/mutants/.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Container, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from excused_mutants import Change, entries
from lines_of_tests import Record

ROOT = Path(__file__).resolve().parent.parent
COPIES = ROOT / "build" / "mutants"
BAR = 95
LONGER = 4  # times
AT_LEAST = 150.0  # seconds: the least bound of a mutant's tests, which bound their waits by 60 s
FIRST = 1800.0  # seconds: the bound of a room's tests with the unchanged code

# Rooms, and the tests that should detect changes: folders or files.
ROOMS = {
    "relay": (
        *("wsgw_core/relay", "tests/core/relay", "tests/core/frontend/test_handshake.py"),
        *("tests/core/frontend/test_faulty_plugins.py", "tests/journeys/test_routes.py"),
    ),
    "pool": (
        *("wsgw_core/pool", "tests/core/pool", "tests/core/relay/failover"),
        "tests/core/relay/session/test_session_ends.py",
        "tests/core/relay/session/test_faulty_connections.py",
    ),
    "websocket": ("wsgw_core/websocket", "tests/core/websocket"),
    "frontend": ("wsgw_core/frontend", "tests/core/frontend", "tests/journeys/test_embedding.py"),
    "admin": (
        *("wsgw_core/admin", "tests/core/admin", "tests/journeys/test_admin_security.py"),
        *("tests/journeys/test_admin_calls.py", "tests/journeys/test_admin_idle.py"),
        *("tests/journeys/test_admin_description.py", "tests/journeys/test_admin_files.py"),
        *("tests/journeys/test_admin_hostile.py",),
    ),
    "wsgw_ws": ("plugins/wsgw_ws/src/wsgw_ws", "plugins/wsgw_ws/tests"),
}
# Lines whose changes no test can detect, and those that cosmic-ray cannot change.
NO_CHANGE = re.compile(r"slots=True|TYPE_CHECKING|except .*\w\.\w")
MARKS = ("*,", "/,", "/)")  # in a signature: no operators

# The first test catches most changes of some operators; these are the subtle operators.
OPERATORS = re.compile(
    r"core/(ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Add)"
    r"|ReplaceUnaryOperator_Delete_Not|AddNot|Replace(True|False|And|Or|Break|Continue)With\w+"
    r"|ExceptionReplacer|NumberReplacer|ZeroIterationForLoop)"
)

PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")

Outcome = Literal["caught", "survived", "not covered", "hangs", "excused"]
OTHERS: dict[Outcome, str] = {
    "survived": "survive",
    "not covered": "are not covered",
    "hangs": "hang",
    "excused": "are excused",
}


@dataclass(frozen=True)
class Mutant:
    """A small change of the code.

    Attributes:
        room: the room whose tests should detect it.
        file: its path in the repository.
        operator: cosmic-ray's name for the kind of change.
        occurrence: the index of the place in the file, from 0.
        line: the line of that place.
    """

    room: str
    file: Path
    operator: str
    occurrence: int
    line: int

    def changed(self, text: str) -> str:
        """Returns what the mutant makes of the text of the file."""
        changed = mutate_code(text, get_operator(self.operator)(), self.occurrence)
        if changed is None:
            raise RuntimeError(f"no such place: {self}")
        return str(changed)

    def change(self) -> Change:
        """Returns what the list of excused mutants calls it."""
        text = (ROOT / self.file).read_text("utf-8")
        diff = difflib.unified_diff(text.splitlines(), self.changed(text).splitlines(), n=0)
        lines = list(diff)[3:]  # without the names of the files and the numbers of lines
        old, new = (
            " ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"
        )
        return Change(str(self.file), old, new)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.operator.removeprefix('core/')}"


def mutants(room: str) -> Iterator[Mutant]:
    """Yields all mutants of a room."""
    operators = [name for name in operator_names() if OPERATORS.fullmatch(name)]
    for path in sorted((ROOT / ROOMS[room][0]).rglob("*.py")):
        text = path.read_text("utf-8")
        tree, lines = get_ast(text), text.splitlines()
        nodes = list(ast_nodes(tree))
        for name in operators:
            operator = get_operator(name)()
            places = (place for node in nodes for place in operator.mutation_positions(node))
            for occurrence, ((number, column), _) in enumerate(places):
                line = lines[number - 1]
                if not NO_CHANGE.search(line) and not line.startswith(MARKS, column):
                    yield Mutant(room, path.relative_to(ROOT), name, occurrence, number)


def copy_tree(copy: Path) -> Path:
    """Copies the files that git knows; returns the copy's path."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


async def run_tests(copy: Path, *arguments: str, bound: float, keep: bool) -> tuple[Outcome, str]:
    """Runs pytest on a copy, up to the first failure; also returns what it printed.

    Args:
        copy: the copy.
        arguments: the arguments of pytest.
        bound: after so many seconds pytest is ended.
        keep: whether the compiled files are kept.
    """
    process = await asyncio.create_subprocess_exec(
        *PYTEST,
        *arguments,
        cwd=copy,
        env=_environment(copy, keep=keep),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(bound):
            output = (await process.communicate())[0].decode("utf-8", "replace")
    except TimeoutError:
        return "hangs", ""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode == 0:
        return "survived", output
    return ("hangs" if "Timeout (" in output else "caught"), output


def _environment(copy: Path, *, keep: bool) -> dict[str, str]:
    sources = [copy, *sorted(copy.glob("plugins/*/src"))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
        "PYTHONDONTWRITEBYTECODE": "" if keep else "1",
    }


async def record(copy: Path, room: str) -> Record:
    """Runs all tests of a room with the unchanged code; the exit status is 2 if one fails."""
    code, *tests = ROOMS[room]
    file = COPIES / f"{room}.json"
    options = ["-p", "tools.lines_of_tests", f"--code={code}", f"--record={file}"]
    outcome, output = await run_tests(copy, *options, *tests, bound=FIRST, keep=True)
    if outcome != "survived":
        print(f"{output}\nthe unchanged code fails: {room} {outcome}")
        sys.exit(2)
    return Record(file)


async def judge(
    mutant: Mutant, copy: Path, tests: list[str], bound: float, excuses: Container[Change]
) -> Outcome:
    """Makes a mutant in a copy, runs the tests on it, and prints the outcome."""
    outcome: Outcome = "not covered"
    if (change := mutant.change()) in excuses:
        outcome = "excused"
    elif tests:
        file = copy / mutant.file
        original, times = file.read_text("utf-8"), file.stat()
        list_of_tests = copy / "tests.txt"
        list_of_tests.write_text("\n".join(tests), "utf-8")
        file.write_text(mutant.changed(original), "utf-8")
        try:
            outcome, _ = await run_tests(copy, f"@{list_of_tests}", bound=bound, keep=False)
        finally:
            file.write_text(original, "utf-8")
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # the file that was compiled
    print(f"{outcome:11} {mutant}", flush=True)
    if outcome not in {"caught", "excused"}:
        print(change.entry(), flush=True)
    return outcome


async def judge_all(sample: list[Mutant], jobs: int) -> list[Outcome]:
    """Returns the outcomes of a sample."""
    shutil.rmtree(COPIES, ignore_errors=True)
    first = copy_tree(COPIES / "0")
    rooms = dict.fromkeys(mutant.room for mutant in sample)
    records = {room: await record(first, room) for room in rooms}
    copies = [first, *(shutil.copytree(first, COPIES / str(job)) for job in range(1, jobs))]
    outcomes: dict[Mutant, Outcome] = {}
    excuses = {change for change, _ in entries()}
    left = iter(sample)

    async def work(copy: Path) -> None:
        for mutant in left:
            tests, seconds = records[mutant.room].tests(copy, mutant.file, mutant.line)
            bound = max(AT_LEAST, LONGER * jobs * seconds)
            outcomes[mutant] = await judge(mutant, copy, tests, bound, excuses)

    async with asyncio.TaskGroup() as group:
        for copy in copies:
            group.create_task(work(copy))
    return [outcomes[mutant] for mutant in sample]


async def until_signal(work: Coroutine[Any, Any, list[Outcome]]) -> list[Outcome]:
    """Returns the result of work; a signal cancels it, which ends the tests that run."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Judges a sample; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--sample", type=int, default=10, help="mutants of each room")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    chosen = arguments.parse_args()
    if unknown := set(chosen.rooms) - set(ROOMS):
        arguments.error(f"no such room: {', '.join(sorted(unknown))}")
    choice = random.Random(chosen.seed)  # noqa: S311 - the same sample for the same seed
    sample = []
    for room in chosen.rooms or ROOMS:
        found = list(mutants(room))
        sample += choice.sample(found, min(chosen.sample, len(found)))
    try:
        outcomes = asyncio.run(until_signal(judge_all(sample, chosen.jobs)))
    except asyncio.CancelledError:
        return 2
    return report(sample, outcomes)


def report(sample: list[Mutant], outcomes: list[Outcome]) -> int:
    """Prints the figures of each room and of all; returns the exit status."""
    status = 0
    for room in [*ROOMS, "all"]:
        own = [o for m, o in zip(sample, outcomes, strict=True) if room in (m.room, "all")]
        if own:
            caught, count = own.count("caught"), len(own) - own.count("excused")
            others = [f"{own.count(o)} {told}" for o, told in OTHERS.items() if o in own]
            told = "".join(f", {each}" for each in others)
            print(f"{room}: {caught} of {count} caught ({100 * caught // max(1, count)} %){told}")
            status = 0 if caught * 100 >= BAR * count else 1
    return status


if __name__ == "__main__":
    sys.exit(main())
