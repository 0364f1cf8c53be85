"""Settings of the documentation site: `make docs`.

The source folder is the repository itself, so that links between README, docs and components are the
same on the site, in a checkout and on a code host.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "shared/src"))

project = "frcnn"
author = "The frcnn authors"
copyright = "The frcnn authors, Apache License 2.0"

root_doc = "docs/site/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**",
    "benchmarks/README.md",
    "components/README.md",
    "components/*/README.md",
    "charts/*/README.md",
    "examples/README.md",
]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
suppress_warnings = [
    # Specs are protobuf text, for which there is no lexer; fences without a language are not highlighted.
    "misc.highlighting_failure",
]

# Docstrings mark code with single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "Faster R-CNN on Kubeflow"
html_copy_source = False
# Sends the site's address itself to the first page.
html_extra_path = ["redirect"]
html_theme_options = {"navigation_with_keys": True}

# Pages whose subpages the navigation shows: pattern, relative to the page.
_SUBPAGES = {"docs/adr/README": "0*", "components/README": "*/README"}


def setup(app: Any) -> None:
    """Registers the event handler below with Sphinx."""
    app.connect("source-read", _add_subpages)


def _add_subpages(_app: Any, page: str, source: list[str]) -> None:
    """Adds a hidden table of contents, which a code host would show as code."""
    if page in _SUBPAGES:
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{_SUBPAGES[page]}\n```\n"
