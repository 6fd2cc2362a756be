"""How Sphinx makes a site of these pages. `make docs` runs it.

A page may lead to a file of the repository that is no page, such as an example. With
`DOCS_REPOSITORY`, the address under which the forge shows files, the site leads there too; without
it the words stand alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

project = "wsgw"
copyright = "The wsgw authors"  # noqa: A001 - Sphinx's name for it
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
root_doc = "index"
exclude_patterns = ["README.md"]  # index.md includes it
html_theme = "furo"
html_title = project
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
nitpicky = True

_PAGES = Path(__file__).resolve().parent
_REPOSITORY = _PAGES.parent


class RepositoryLinks(SphinxPostTransform):
    """Turns links to files outside docs/ into links to the forge, or into words."""

    default_priority = 8  # before MyST looks for pages, at 9

    def run(self, **_kwargs: Any) -> None:
        """Replace the links of one page; Sphinx calls it once for each page."""
        forge = os.environ.get("DOCS_REPOSITORY", "").rstrip("/")
        for link in list(self.document.findall(pending_xref)):
            path = self._file(link)
            if path is None:
                continue
            words: nodes.Element = nodes.inline("", "", *link.children[0].children)
            if forge:
                words = nodes.reference("", "", words, refuri=f"{forge}/{path}", internal=False)
            link.replace_self(words)

    def _file(self, link: pending_xref) -> str | None:
        """Return the path in the repository of a file that exists and is no page."""
        # MyST gives a document's path from docs/, and that of a folder as it is written.
        folder = _PAGES if link["refdomain"] == "doc" else (_PAGES / self.env.docname).parent
        name = link["reftarget"].partition("#")[0]
        for file in (folder / name, folder / f"{name}.md"):
            path = file.resolve()
            if path.exists() and path.is_relative_to(_REPOSITORY):
                return None if path.is_relative_to(_PAGES) else str(path.relative_to(_REPOSITORY))
        return None


def setup(app: Sphinx) -> None:
    """Register what is ours; Sphinx calls it."""
    app.add_post_transform(RepositoryLinks)
