"""Changes the code in small ways, one at a time, and checks whether the tests detect it.

usage: mutants.py [--sample N] [--seed S] [--jobs J] [--own] [ROOM ...]

A mutant is one small change that cosmic-ray makes, such as `<` to `<=`. A sample of N mutants is
taken of each room, at random but the same for the same seed. The tests run in stages: those of the
mutant's own folder, those of its room, then all tests in memory and the websocket backend's. A
mutant is caught if a stage fails, and survives if all pass. If a stage takes LONGER times as long
as with the unchanged code, it is ended: the mutant hangs, and is not caught, since a test must
bound what it waits for. With --own the last stage is left out, which takes longest.

The unchanged code comes first, and its tests must pass. The exit status is 0 if at least BAR
percent of the mutants are caught, 1 if fewer are, 2 if the unchanged code fails.

The working tree stays as it is: each job changes a copy, in build/mutants/.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
COPIES = ROOT / "build" / "mutants"
BAR = 95
LONGER = 4  # times
AT_LEAST = 30.0  # seconds: the least bound of a stage
FIRST = 1800.0  # seconds: the bound of a stage with the unchanged code

# Rooms, and the tests that should detect changes: a folder like the room's, and others.
ROOMS = {
    "relay": ("wsgw_core/relay", "tests/core/relay"),
    "pool": ("wsgw_core/pool", "tests/core/pool"),
    "websocket": ("wsgw_core/websocket", "tests/core/websocket"),
    "frontend": ("wsgw_core/frontend", "tests/core/frontend"),
    "admin": (
        *("wsgw_core/admin", "tests/core/admin", "tests/journeys/test_admin_security.py"),
        *("tests/journeys/test_admin_calls.py", "tests/journeys/test_admin_idle.py"),
    ),
    "wsgw_ws": ("plugins/wsgw_ws/src/wsgw_ws", "plugins/wsgw_ws/tests"),
}
ALL_IN_MEMORY = (
    *("tests/core", "plugins/wsgw_ws/tests", "tests/journeys/test_admin_security.py"),
    *("--ignore", "tests/core/config", "--ignore", "tests/core/scaffold"),
)
NO_CHANGE = re.compile(r"slots=True|TYPE_CHECKING")  # lines whose changes no test can detect

# The first test catches most changes of some operators; these are the subtle operators.
OPERATORS = re.compile(
    r"core/(ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Add)"
    r"|ReplaceUnaryOperator_Delete_Not|AddNot|Replace(True|False|And|Or|Break|Continue)With\w+"
    r"|ExceptionReplacer|NumberReplacer|ZeroIterationForLoop)"
)

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")

Outcome = Literal["caught", "survived", "hangs"]
OTHERS: dict[Outcome, str] = {"survived": "survive", "hangs": "hang"}
Stage = tuple[str, ...]  # the arguments of pytest


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

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.operator.removeprefix('core/')}"

    @property
    def stages(self) -> list[Stage]:
        """Returns the stages of tests before all in memory; the first failure ends them."""
        code, *tests = ROOMS[self.room]
        own = Path(tests[0], self.file.parent.relative_to(code))
        folders = [own] if own != Path(tests[0]) and (ROOT / own).is_dir() else []
        return [*((str(folder),) for folder in folders), tuple(tests)]


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
            for occurrence, (start, _) in enumerate(places):
                if NO_CHANGE.search(lines[start[0] - 1]):
                    continue
                yield Mutant(room, path.relative_to(ROOT), name, occurrence, start[0])


def copy_tree(copy: Path) -> Path:
    """Copies the files that git knows and compiles them once; returns the copy's path."""
    shutil.rmtree(copy, ignore_errors=True)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    environment = _environment(copy)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [*PYTEST, "--collect-only", *ALL_IN_MEMORY]
    subprocess.run(command, cwd=copy, env=environment, check=True, stdout=subprocess.DEVNULL)
    return copy


def _environment(copy: Path) -> dict[str, str]:
    sources = [copy, *sorted(copy.glob("plugins/*/src"))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
        "PYTHONDONTWRITEBYTECODE": "1",  # a mutant's compiled files are not kept
    }


class Judge:
    """Runs stages of tests; a stage gets a bound once it has passed with the unchanged code.

    Args:
        last: the stage after a mutant's own stages.

    Attributes:
        bounds: seconds that each stage may take.
    """

    def __init__(self, *last: Stage) -> None:
        self.bounds: dict[Stage, float] = {}
        self._last = last

    def stages(self, mutant: Mutant) -> tuple[Stage, ...]:
        """Returns a mutant's stages; the first failure ends them."""
        return (*mutant.stages, *self._last)

    def run(self, copy: Path, stage: Stage) -> tuple[Outcome, str]:
        """Runs a stage on a copy, up to the first failure; also returns what pytest printed."""
        with subprocess.Popen(
            [*PYTEST, "-x", *stage],
            cwd=copy,
            env=_environment(copy),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=self.bounds.get(stage, FIRST))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return "hangs", ""
        if process.returncode == 0:
            return "survived", output
        return ("hangs" if "Timeout (" in output else "caught"), output

    def measure(self, copy: Path, stage: Stage, jobs: int) -> str:
        """Runs a stage with the unchanged code and records its duration.

        Args:
            copy: an unchanged copy.
            stage: the stage to run.
            jobs: the number of stages that run at the same time later and slow each other down.

        Returns:
            The output of pytest if the stage fails; empty if it passes.
        """
        began = time.monotonic()
        outcome, output = self.run(copy, stage)
        self.bounds[stage] = max(AT_LEAST, LONGER * jobs * (time.monotonic() - began))
        return "" if outcome == "survived" else output or "it hangs"

    def judge(self, mutant: Mutant, copy: Path) -> Outcome:
        """Makes a mutant in a copy and runs the tests on it."""
        file = copy / mutant.file
        original, times = file.read_text("utf-8"), file.stat()
        changed = mutate_code(original, get_operator(mutant.operator)(), mutant.occurrence)
        if changed is None:
            raise RuntimeError(f"no such place: {mutant}")
        file.write_text(changed, "utf-8")
        try:
            for stage in self.stages(mutant):
                outcome, _ = self.run(copy, stage)
                if outcome != "survived":
                    return outcome
            return "survived"
        finally:
            file.write_text(original, "utf-8")
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # the file that was compiled


def main() -> int:
    """Judges a sample; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--sample", type=int, default=10, help="mutants of each room")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments.add_argument("--own", action="store_true", help="only the room's own tests")
    arguments.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    chosen = arguments.parse_args()
    if unknown := set(chosen.rooms) - set(ROOMS):
        arguments.error(f"no such room: {', '.join(sorted(unknown))}")
    choice = random.Random(chosen.seed)  # noqa: S311 - the same sample for the same seed
    sample = []
    for room in chosen.rooms or ROOMS:
        found = list(mutants(room))
        sample += choice.sample(found, min(chosen.sample, len(found)))
    copies = [copy_tree(COPIES / str(job)) for job in range(chosen.jobs)]
    judge = Judge() if chosen.own else Judge(ALL_IN_MEMORY)
    for stage in dict.fromkeys(stage for mutant in sample for stage in judge.stages(mutant)):
        if said := judge.measure(copies[0], stage, chosen.jobs):
            print(f"{said}\nthe unchanged code fails: {' '.join(stage)}")
            return 2
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judged(mutant: Mutant) -> Outcome:
        copy = free.get()
        try:
            outcome = judge.judge(mutant, copy)
        finally:
            free.put(copy)
        print(f"{outcome:8} {mutant}", flush=True)
        return outcome

    with ThreadPoolExecutor(chosen.jobs) as jobs:
        outcomes = list(jobs.map(judged, sample))
    return report(sample, outcomes)


def report(sample: list[Mutant], outcomes: list[Outcome]) -> int:
    """Prints the figures of each room and of all; returns the exit status."""
    for room in [*ROOMS, "all"]:
        own = [o for m, o in zip(sample, outcomes, strict=True) if room in (m.room, "all")]
        if own:
            caught = own.count("caught")
            others = [f"{own.count(o)} {told}" for o, told in OTHERS.items() if o in own]
            told = "".join(f", {each}" for each in others)
            print(f"{room}: {caught} of {len(own)} caught ({100 * caught // len(own)} %){told}")
    return 0 if outcomes.count("caught") * 100 >= BAR * len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
