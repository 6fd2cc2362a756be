"""deploy/: the files pass their linters and schemas, and agree with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from wsgw_core.loading.configuration import load_configuration
from wsgw_core.pool.membership.system_resolver import _MOST_LOOKUPS

BIN = Path(sys.executable).parent
KUBERNETES = "1.34"

Manifests = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def manifests(deploy: Path) -> Manifests:
    """Returns the Kubernetes objects by kind and name."""
    found = {}
    for file in sorted((deploy / "kubernetes").glob("*.yaml")):
        for one in yaml.safe_load_all(file.read_text("utf-8")):
            if "apiVersion" in one:
                name = one.get("metadata", {}).get("name", "")
                found[f"{one['kind']} {name}".strip()] = one
    return found


def run(*command: str | Path) -> None:
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


# Linters and schemas


def test_dockerfile_passes_the_linter(deploy: Path) -> None:
    run(BIN / "hadolint", "--failure-threshold", "style", deploy / "container" / "Dockerfile")


def test_yaml_passes_the_linter(deploy: Path) -> None:
    rules = (
        "{extends: default, rules: {line-length: {max: 100}, document-start: disable,"
        " braces: {max-spaces-inside: 0}}}"
    )
    run(BIN / "yamllint", "--strict", "-d", rules, deploy)


def test_compose_file_follows_its_schema(deploy: Path) -> None:
    file = deploy / "compose" / "compose.yaml"
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)


def test_workflow_follows_its_schema_and_runs_the_ci_script(root: Path) -> None:
    file = root / ".github" / "workflows" / "ci.yml"
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", file)
    jobs = yaml.safe_load(file.read_text("utf-8"))["jobs"]
    steps = [step.get("run") for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in steps
    versions = set(jobs["everything"]["strategy"]["matrix"]["python"])
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    named = {kind.rpartition(" ")[2] for kind in project["classifiers"] if "Python :: 3." in kind}
    assert named <= versions


def test_manifests_follow_the_kubernetes_schemas(deploy: Path) -> None:
    files = sorted((deploy / "kubernetes").glob("*.yaml"))
    checked = [file for file in files if file.stem not in ("kustomization", "wsgw")]
    assert len(checked) == 5
    run(BIN / "kubernetes-validate", "--strict", "-k", KUBERNETES, *checked)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_unit_is_accepted_by_systemd(deploy: Path, tmp_path: Path) -> None:
    text = (deploy / "systemd" / "wsgw.service").read_text("utf-8")
    unit = tmp_path / "wsgw.service"
    unit.write_text(text.replace("/opt/wsgw/bin/wsgw", str(BIN / "wsgw")))

    run("systemd-analyze", "verify", "--man=no", unit)
    run("systemd-analyze", "security", "--offline=true", "--threshold=12", unit)


# Agreement between the files


@pytest.mark.parametrize(
    ("folder", "ids"), [("compose", ["blue", "green"]), ("kubernetes", ["backend"])]
)
def test_configurations_load(deploy: Path, folder: str, ids: list[str]) -> None:
    loaded = load_configuration(deploy / folder / "wsgw.yaml", {})

    assert [backend.id for backend in loaded.specs.backends] == ids
    assert loaded.config.server.admin.address.host == ""


def test_kustomization_lists_every_manifest(deploy: Path, manifests: Manifests) -> None:
    folder = deploy / "kubernetes"
    kustomization = manifests["Kustomization"]
    named = [*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]]
    assert {*named, "kustomization.yaml"} == {file.name for file in folder.iterdir()}


def test_compose_builds_and_configures_what_exists(root: Path, deploy: Path) -> None:
    services = yaml.safe_load((deploy / "compose" / "compose.yaml").read_text("utf-8"))["services"]
    build = services["gateway"]["build"]
    context = (deploy / "compose" / build["context"]).resolve()
    assert context == root
    assert (context / build["dockerfile"]).is_file()
    config = yaml.safe_load((deploy / "compose" / "wsgw.yaml").read_text("utf-8"))
    for backend in config["upstream"]["backends"]:
        host, port = re.fullmatch(r"ws://(\w+):(\d+)", backend["url"]).groups()  # type: ignore[union-attr]  # fails if it is not
        assert services[host]["command"][0] == port
    assert {"redis", "rabbitmq"} <= set(services)


def test_dockerfile_sources_are_in_the_context(root: Path, deploy: Path) -> None:
    ignore = (deploy / "container" / "Dockerfile.dockerignore").read_text("utf-8").split()
    kept = [line[1:] for line in ignore if line.startswith("!")]
    assert [name for name in kept if not (root / name).exists()] == []
    assert {"wsgw_core", "plugins", "bundle", "pyproject.toml", "constraints.txt"} <= set(kept)


def test_labels_and_ports_of_the_manifests_match(manifests: Manifests) -> None:
    spec = manifests["Deployment wsgw"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert manifests["PodDisruptionBudget wsgw"]["spec"]["selector"]["matchLabels"] == labels
    [container] = spec["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for name in ("Service wsgw", "Service wsgw-admin"):
        service = manifests[name]["spec"]
        assert service["selector"] == labels
        assert {port["targetPort"] for port in service["ports"]} <= set(ports)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] == "admin"
    target = manifests["HorizontalPodAutoscaler wsgw"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "wsgw")


def test_ports_of_the_manifests_are_those_of_the_configuration(
    deploy: Path, manifests: Manifests
) -> None:
    loaded = load_configuration(deploy / "kubernetes" / "wsgw.yaml", {})
    [container] = manifests["Deployment wsgw"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {
        "websocket": loaded.config.server.frontend.address.port,
        "admin": loaded.config.server.admin.address.port,
    }
    assert container["args"][:3] == ["run", "--watch", "-c"]
    [mount] = container["volumeMounts"]
    assert str(Path(container["args"][3]).parent) == mount["mountPath"]


def test_stop_timeouts_cover_drain_and_close_times(deploy: Path, manifests: Manifests) -> None:
    pod = manifests["Deployment wsgw"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    services = yaml.safe_load((deploy / "compose" / "compose.yaml").read_text("utf-8"))["services"]
    unit = (deploy / "systemd" / "wsgw.service").read_text("utf-8")
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop
    needed = {}
    for folder in ("compose", "kubernetes"):
        config = load_configuration(deploy / folder / "wsgw.yaml", {}).config
        # wsgw closes clients one by one; then they and the backends have their time to answer.
        needed[folder] = config.server.drain_time + config.limits.close_timeout * 2 + 5
    assert pod["terminationGracePeriodSeconds"] >= before + needed["kubernetes"]
    assert seconds(services["gateway"]["stop_grace_period"]) >= needed["compose"]
    assert int(stop[1]) >= needed["kubernetes"]


def test_image_does_not_run_as_root(
    instructions: dict[str, list[str]], manifests: Manifests
) -> None:
    [user] = instructions["USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    pod = manifests["Deployment wsgw"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing")
def test_alert_rules_are_valid(deploy: Path) -> None:
    run("promtool", "check", "rules", deploy / "prometheus" / "alerts.yaml")


# Limits


def test_image_has_the_checked_python_pinned_by_digest(root: Path, deploy: Path) -> None:
    text = (deploy / "container" / "Dockerfile").read_text("utf-8")
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    [version] = re.findall(
        r"^ARG PYTHON=python:(\d+\.\d+)\.\d+-\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE
    )
    assert version == project["tool"]["mypy"]["python_version"]
    assert project["project"]["requires-python"] == f">={version}"
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON}"}


def test_other_images_are_pinned_to_a_version(deploy: Path) -> None:
    services = yaml.safe_load((deploy / "compose" / "compose.yaml").read_text("utf-8"))["services"]
    images = {service["image"] for service in services.values()} - {"wsgw"}
    assert images
    assert [one for one in images if not re.search(r":\d+\.\d+\.\d+-", one)] == []


def test_compose_services_have_limits_and_backends_an_internal_network_only(deploy: Path) -> None:
    compose = yaml.safe_load((deploy / "compose" / "compose.yaml").read_text("utf-8"))
    assert compose["networks"]["backends"] == {"internal": True}
    for name, service in compose["services"].items():
        assert {"mem_limit", "pids_limit", "networks"} <= set(service), name
        assert name == "gateway" or service["networks"] == ["backends"], name
    assert "backends" in compose["services"]["gateway"]["networks"]


def mebibytes(size: str) -> int:
    return int(size[:-2]) * {"Mi": 1, "Gi": 1024}[size[-2:]]


def test_pod_requests_over_half_of_its_memory_limit_without_cpu_limit(manifests: Manifests) -> None:
    [container] = manifests["Deployment wsgw"]["spec"]["template"]["spec"]["containers"]
    limit = mebibytes(container["resources"]["limits"]["memory"])
    assert limit // 2 < mebibytes(container["resources"]["requests"]["memory"]) <= limit
    assert "cpu" not in container["resources"]["limits"]


def test_network_policy_covers_the_pods_and_their_backends(
    deploy: Path, manifests: Manifests
) -> None:
    policy = manifests["NetworkPolicy wsgw"]["spec"]
    pod = manifests["Deployment wsgw"]["spec"]["template"]
    assert policy["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    [container] = pod["spec"]["containers"]
    clients, operators = policy["ingress"]
    assert [port["port"] for port in clients["ports"]] == [container["ports"][0]["name"]]
    assert [port["port"] for port in operators["ports"]] == [container["ports"][1]["name"]]
    assert "from" in operators
    names, backends = policy["egress"]
    assert {(each["port"], each["protocol"]) for each in names["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }
    loaded = load_configuration(deploy / "kubernetes" / "wsgw.yaml", {})
    [backend] = loaded.specs.backends
    assert (backends["ports"], "to" in backends) == (
        [{"port": backend.entry.name_to_resolve[1]}],
        True,
    )


def test_address_is_held_for_less_than_the_termination_grace_period(deploy: Path) -> None:
    loaded = load_configuration(deploy / "kubernetes" / "wsgw.yaml", {})
    upstream, ordinary = loaded.config.upstream, 30  # seconds, the default for pods
    assert upstream.resolve_hold + upstream.resolve_interval < ordinary


@pytest.fixture(scope="module")
def unit(deploy: Path) -> dict[str, list[str]]:
    """Returns the settings of the unit's service, each with its values."""
    found: dict[str, list[str]] = {}
    for line in (deploy / "systemd" / "wsgw.service").read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CapabilityBoundingSet", ""),
        ("DevicePolicy", "closed"),
        ("DynamicUser", "yes"),
        ("KeyringMode", "private"),
        ("LimitCORE", "0"),
        ("MemoryDenyWriteExecute", "yes"),
        ("NoNewPrivileges", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateIPC", "yes"),
        ("PrivateUsers", "yes"),
        ("ProtectSystem", "strict"),
        ("RemoveIPC", "yes"),
        ("RestrictNamespaces", "yes"),
    ],
)
def test_unit_is_sandboxed(unit: dict[str, list[str]], key: str, value: str) -> None:
    assert unit[key] == [value]


def test_unit_limits_memory_and_tasks(unit: dict[str, list[str]]) -> None:
    [memory], [tasks] = unit["MemoryMax"], unit["TasksMax"]
    assert 0 < int(memory.removesuffix("%")) < 100
    assert int(tasks) > _MOST_LOOKUPS + 32  # the threads of the gateway and of plugins
