"""Measures what wsgw costs, in turns with nginx and haproxy, in one run. For Linux.

Each contender relays between the same load generator and the same echo backends. It has one
processor to itself; load and backends share another. The figures are the processor time of one echo
round trip, and the memory of one idle connection. Clients can speak TLS, and compress their
messages. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trustme
from configured import benched, read

HERE = Path(__file__).resolve().parent
TIMEOUT = 20.0  # seconds for a process to start or to end
IDLE = 3000
PORTS = (20_000, 32_000)  # the system uses the ports above for outgoing connections
# Files that one process can need in the workload `idle`. When less than a sixteenth of its
# connections is free, nginx closes connections whose request has not arrived yet.
FILES = 2 * IDLE * 8 // 7 + 200

NGINX = """\
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream backends {{ {servers} }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{tls};
    location / {{
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""

NGINX_TLS = " ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols TLSv1.3"
HAPROXY_TLS = " ssl crt {pem} ssl-min-ver TLSv1.3"

HAPROXY = """\
global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend clients
  bind 127.0.0.1:{port} backlog 4096{tls}
  default_backend backends
backend backends
{servers}
"""


@dataclass(frozen=True)
class Workload:
    """What the load generator does.

    Attributes:
        what: `echo` or `idle`.
        connections: the number of connections.
        shape: for `echo`, messages in flight on each connection, and their bytes.
        figure: the key of the result to compare, and its unit.
    """

    what: str
    connections: int
    shape: tuple[int, ...]
    figure: str
    unit: str


WORKLOADS = {
    "small": Workload("echo", 100, (1, 128), "cpu_us", "µs a round trip"),
    "pipelined": Workload("echo", 100, (16, 128), "cpu_us", "µs a round trip"),
    "large": Workload("echo", 20, (1, 64 * 1024), "cpu_us", "µs a round trip"),
    "idle": Workload("idle", IDLE, (), "kb", "kB a connection"),
}


@dataclass(frozen=True)
class Contender:
    """A process that relays from a port to the backends."""

    name: str
    command: tuple[str, ...]
    port: int
    environment: dict[str, str]


@dataclass(frozen=True)
class Frontend:
    """What clients speak.

    Attributes:
        tls: the certificate with its key; None: no TLS.
        compressed: whether clients compress. Only wsgw reads messages; the others relay them.
    """

    tls: Path | None
    compressed: bool

    @property
    def scheme(self) -> str:
        """Returns the URLs' scheme."""
        return "ws" if self.tls is None else "wss"


def frontend(name: str, folder: Path) -> Frontend:
    """Prepares what the command line selects."""
    if name == "plain":
        return Frontend(None, compressed=False)
    pem = folder / "certificate.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    return Frontend(pem, compressed=name == "compressed")


class Processors:
    """Assigns processes to processors."""

    def __init__(self) -> None:
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            sys.exit("compare.py: needs two processors, one for the contender and one for the load")
        self.contender, self.load = usable[:2]


def pinned(processor: int, *command: str) -> list[str]:
    """Returns the command that runs on one processor."""
    return ["taskset", "--cpu-list", str(processor), *command]


def free_port() -> int:
    """Returns a free port of the loopback interface."""
    while True:
        port = random.randint(*PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def wait_until_listening(contender: Contender, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when the contender listens; ends the script if it does not."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", contender.port)) == 0:
                return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-2000:]
    sys.exit(f"compare.py: {contender.name} does not listen on port {contender.port}\n{said}")


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process, and ends it at the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def echo_backends(processor: int) -> Iterator[list[int]]:
    """Runs the backends; yields their ports."""
    command = pinned(processor, sys.executable, str(HERE / "echo_backend.py"))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes
        try:
            line = process.stdout.readline()
            if not line:
                sys.exit("compare.py: the echo backends do not start")
            ports: list[int] = json.loads(line)
            yield ports
        finally:
            process.stdin.close()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()


def contenders(
    gateway: Sequence[str],
    backends: Sequence[int],
    folder: Path,
    spoken: Frontend,
    *,
    config: dict[str, Any] | None,
    with_haproxy: bool,
) -> list[Contender]:
    """Returns the installed contenders; prints which are not installed.

    Args:
        gateway: the command of wsgw.
        backends: the backends' ports.
        folder: the folder for files.
        spoken: what clients speak.
        config: the gateway's configuration except its ends; None: the default.
        with_haproxy: whether to include haproxy.
    """
    own = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
    clean = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    port = free_port()
    urls = ",".join(f"ws://127.0.0.1:{backend}" for backend in backends)
    variables = {"FE_ADDR": f"127.0.0.1:{port}", "ADM_ADDR": "127.0.0.1:0"}
    command: tuple[str, ...] = (*gateway, "run")
    if config is None and spoken.tls is None:
        variables["BE_URLS"] = urls
    else:
        compression = spoken.compressed if spoken.tls is not None else None
        made = benched(config or {}, backends, tls=spoken.tls, compression=compression)
        file = folder / "wsgw.json"
        file.write_text(json.dumps(made))  # which is YAML
        command = (*command, "-c", str(file))
    found = [Contender("wsgw", command, port, {**clean, **variables})]

    if nginx := _installed("nginx"):
        port = free_port()
        servers = " ".join(f"server 127.0.0.1:{backend};" for backend in backends)
        tls = NGINX_TLS.format(pem=spoken.tls) if spoken.tls is not None else ""
        text = NGINX.format(folder=folder, port=port, servers=servers, files=FILES, tls=tls)
        file = folder / "nginx.conf"
        file.write_text(text)
        command = (nginx, "-p", str(folder), "-c", str(file), "-e", str(folder / "nginx.log"))
        found.append(Contender("nginx", command, port, clean))

    if with_haproxy and (haproxy := _installed("haproxy")):
        port = free_port()
        servers = "\n".join(
            f"  server backend{number} 127.0.0.1:{backend}"
            for number, backend in enumerate(backends)
        )
        file = folder / "haproxy.cfg"
        tls = HAPROXY_TLS.format(pem=spoken.tls) if spoken.tls is not None else ""
        file.write_text(HAPROXY.format(port=port, servers=servers, connections=FILES, tls=tls))
        found.append(Contender("haproxy", (haproxy, "-db", "-f", str(file)), port, clean))
    return found


def _installed(name: str) -> str | None:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        print(f"{name} is not installed: left out", flush=True)
    return path


def measure(
    contender: Contender,
    spoken: Frontend,
    workload: Workload,
    seconds: float,
    processors: Processors,
    folder: Path,
) -> dict[str, float]:
    """Starts a contender, loads it, and returns the load generator's result."""
    log = folder / f"{contender.name}.log"
    command = pinned(processors.contender, *contender.command)
    with running(command, log, contender.environment) as process:
        wait_until_listening(contender, process, log)
        time.sleep(0.3)  # the work of the start is not to be measured
        load = pinned(
            processors.load,
            *(sys.executable, str(HERE / "load.py"), workload.what),
            *(f"{spoken.scheme}://127.0.0.1:{contender.port}/", str(process.pid)),
            *map(str, (workload.connections, *workload.shape)),
            *([str(seconds)] if workload.what == "echo" else []),
            *(["compressed"] if workload.what == "echo" and spoken.compressed else []),
        )
        # The load generator bounds its steps; more connections need more of them.
        timeout = 60 + seconds + workload.connections / 10
        try:
            done = subprocess.run(
                load, check=False, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"compare.py: the load on {contender.name} does not end in {timeout:.0f} s")
        if done.returncode:
            said = (done.stderr + log.read_text(errors="replace"))[-2000:]
            sys.exit(f"compare.py: the load on {contender.name} failed\n{said}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def table(results: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """Returns the medians as a Markdown table, with the ratios to nginx round by round."""
    names = list(next(iter(results.values())))
    ratio = ["wsgw / nginx"] if "nginx" in names else []
    lines = [["workload", "figure", *names, *ratio], ["---"] * (2 + len(names) + len(ratio))]
    for title, rounds in results.items():
        workload = WORKLOADS[title]
        values = {name: [each[workload.figure] for each in rounds[name]] for name in names}
        line = [title, workload.unit, *(f"{statistics.median(values[name]):.1f}" for name in names)]
        if ratio:
            pairs = zip(values["wsgw"], values["nginx"], strict=True)
            line.append(f"{statistics.median(own / other for own, other in pairs):.2f}")
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def raise_file_limit() -> None:
    """Raises the limit of open files to the maximum; processes started here inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < FILES:
        sys.exit(f"compare.py: needs {FILES} open files in a process, {hard} are allowed")


def arguments() -> argparse.Namespace:
    """Reads the process's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--workload",
        action="append",
        choices=WORKLOADS,
        help="the workload; may be repeated; all by default",
    )
    parser.add_argument(
        "--frontend",
        choices=("plain", "tls", "compressed"),
        default="plain",
        help="what clients speak (plain); `compressed` is TLS with compressed messages",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each echo workload (5)")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="duration of each measurement (3)"
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=IDLE,
        help=f"connections of the workload idle, at most {IDLE} ({IDLE})",
    )
    parser.add_argument("--no-haproxy", action="store_true", help="compare with nginx only")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration of the gateway; its frontend and backends are replaced",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to FILE")
    parser.add_argument(
        "gateway",
        nargs="*",
        default=[str(Path(sys.executable).with_name("wsgw"))],
        metavar="-- WSGW",
        help="the command to measure, with its arguments before `run`; this Python's by default",
    )
    options = parser.parse_args()
    if not 0 < options.connections <= IDLE:
        parser.error(f"--connections: must be 1 to {IDLE}")
    if options.config is not None:
        try:
            options.config = read(options.config)
        except (OSError, ValueError) as error:
            parser.error(f"--config: {error}")
    return options


def main() -> None:
    """Measures and prints."""
    options = arguments()
    if not sys.platform.startswith("linux") or shutil.which("taskset") is None:
        sys.exit("compare.py: needs Linux and its command taskset")
    raise_file_limit()
    processors = Processors()
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsgw-bench-")))
        backends = stack.enter_context(echo_backends(processors.load))
        spoken = frontend(options.frontend, folder)
        found = contenders(
            options.gateway,
            backends,
            folder,
            spoken,
            config=options.config,
            with_haproxy=not options.no_haproxy,
        )
        for title in options.workload or WORKLOADS:
            workload = WORKLOADS[title]
            rounds = options.rounds
            if workload.what == "idle":
                rounds, workload = 1, replace(workload, connections=options.connections)
            results[title] = {contender.name: [] for contender in found}
            for number in range(rounds):
                for contender in found:
                    said = f"{title}, round {number + 1} of {rounds}: {contender.name}"
                    print(said, file=sys.stderr, flush=True)
                    results[title][contender.name].append(
                        measure(contender, spoken, workload, options.seconds, processors, folder)
                    )
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
