"""Commands that other distributions add to `wsgw`; a broken one affects nothing else."""

from __future__ import annotations

import pytest

from .command_shop import FAKE_PLUGIN, Shop, only_line

GROUP = "wsgw.commands"
COUNT = """
    import click

    @click.command()
    @click.option("--by", default=1)
    def count(by):
        \"\"\"Count something.\"\"\"
        click.echo(f"counted by {by}")
"""
NO_COMMAND = "count = 5"
BROKEN = "raise RuntimeError('out of\\nfingers')"
GONE = "raise SystemExit(7)"


def test_added_command_is_listed_and_runs(shop: Shop) -> None:
    shop.install("acme-count", "count", COUNT, group=GROUP)

    assert "count    Count something.\n" in shop.run("--help").stdout
    assert "--by INTEGER" in shop.call("count", "--help").stdout
    result = shop.run("count", "--by", "2")
    assert (result.returncode, result.stdout, result.stderr) == (0, "counted by 2\n", "")
    assert "acme-count 9.9\n" in shop.call("version").stdout


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (BROKEN, "cannot be imported: RuntimeError: out of fingers"),
        (GONE, "cannot be imported: SystemExit: 7"),
        ("", "cannot be imported: AttributeError: "),
        (NO_COMMAND, "is not a click command"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--help",), ("--by", "2", "more")])
def test_unusable_command_reports_the_reason_when_called(
    shop: Shop, source: str, told: str, arguments: tuple[str, ...]
) -> None:
    shop.install("acme-count", "count", source, group=GROUP)

    result = shop.call("count", *arguments)

    assert (result.returncode, result.stdout) == (2, "")
    line = only_line(result.stderr)
    assert line.startswith(
        "wsgw: the command 'count' (acme_count_module:count) of acme-count 9.9: "
    )
    assert told in line


def test_broken_command_does_not_affect_other_commands(shop: Shop) -> None:
    shop.install("acme-count", "count", BROKEN, group=GROUP)
    shop.install("acme", "fake", FAKE_PLUGIN)

    shown = shop.call("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "count    Unusable: run it to see why.\n" in shown.stdout
    assert shop.call("check", BE_URLS="fake://a:1").returncode == 0
    assert "acme-count 9.9\n" in shop.call("version").stdout
    imported = shop.run("run", "--help", PYTHONPROFILEIMPORTTIME="1").stderr
    assert "wsgw_core.cli.main" in imported
    assert "acme_count_module" not in imported


def test_command_added_by_two_distributions_is_refused(shop: Shop) -> None:
    for name in ("acme-count", "other-count"):
        shop.install(name, "count", COUNT, group=GROUP)

    result = shop.call("count")

    assert result.returncode == 2
    assert only_line(result.stderr) == (
        "wsgw: several distributions add the command 'count': acme-count 9.9, other-count 9.9;"
        " uninstall all but one"
    )


def test_added_command_cannot_replace_a_core_command(shop: Shop) -> None:
    shop.install("acme-count", "check", BROKEN, group=GROUP)
    shop.install("acme", "fake", FAKE_PLUGIN)

    assert shop.call("check", BE_URLS="fake://a:1").returncode == 0


def test_unknown_command_is_a_usage_error(shop: Shop) -> None:
    result = shop.call("count")

    assert result.returncode == 2
    assert "No such command 'count'" in result.stderr
