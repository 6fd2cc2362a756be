"""The documentation site: complete, or an error."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def make_site(pages: Path, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", pages, site],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


INDEX = """# Pages

```{toctree}
how-to/deploy.md
```
"""
PAGE = """# Deploy it

[The files](../../deploy) are there.
"""


@pytest.fixture
def repository(root: Path, tmp_path: Path) -> Path:
    """Returns a small repository whose pages are made like ours."""
    repository = tmp_path / "repository"
    (repository / "docs" / "how-to").mkdir(parents=True)
    shutil.copy(root / "docs" / "conf.py", repository / "docs")
    (repository / "docs" / "index.md").write_text(INDEX)
    (repository / "docs" / "how-to" / "deploy.md").write_text(PAGE)
    (repository / "deploy").mkdir()
    return repository


def test_site_has_every_page_and_shows_links_to_files_as_words(root: Path, tmp_path: Path) -> None:
    made = make_site(root / "docs", tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    pages = {
        path.relative_to(root / "docs").with_suffix(".html") for path in root.glob("docs/*/*.md")
    }
    assert {path for path in pages if not (tmp_path / path).is_file()} == set()
    deploy = (tmp_path / "how-to" / "deploy.html").read_text("utf-8")
    assert "blob/main" not in deploy
    assert "../../deploy" not in deploy


def test_links_to_files_point_to_the_forge(repository: Path, tmp_path: Path) -> None:
    made = make_site(
        repository / "docs", tmp_path / "site", DOCS_REPOSITORY="https://forge.example/blob/main/"
    )
    assert (made.returncode, made.stderr) == (0, "")
    deploy = (tmp_path / "site" / "how-to" / "deploy.html").read_text("utf-8")
    assert 'href="https://forge.example/blob/main/deploy"' in deploy


def test_broken_links_and_unlisted_pages_fail(repository: Path, tmp_path: Path) -> None:
    page = repository / "docs" / "how-to" / "deploy.md"
    page.write_text(f"{PAGE}\n[gone](no-such-page.md)\n[too](#no-such-part)\n")
    (repository / "docs" / "stray.md").write_text("# A page outside the four kinds\n")
    made = make_site(repository / "docs", tmp_path / "site")
    assert made.returncode != 0
    assert "no-such-page.md" in made.stderr
    assert "no-such-part" in made.stderr
    assert "stray.md" in made.stderr
