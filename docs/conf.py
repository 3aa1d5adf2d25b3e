"""The documentation as a site: `make site`.  Pages are the Markdown that is here; the notebooks are run while it is built."""

import re
import shutil
from html import unescape
from importlib.metadata import version as installed
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "notebooks"

project = "ontogeny"
copyright = "the ontogeny authors, Apache 2.0"
release = version = installed("ontogeny")
extensions = ["myst_nb", "sphinx.ext.autodoc"]
myst_heading_anchors = 4  # pages link to one another's headings as GitHub names them

nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # bars and advice of libraries

autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "ontogeny"
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1b6a8f", "color-brand-content": "#1b6a8f"},
    "dark_css_variables": {"color-brand-primary": "#7cc0e0", "color-brand-content": "#7cc0e0"},
}

# --- pages that are run --------------------------------------------------------------------------------------------

# They are plain Markdown, so that they read as well where nothing runs them: each ```python block is a cell.
# With the tag `tested` (sphinx -t) the tutorial, the longest, is not: a test runs it.
RUN = ("notebooks/checkpoints", "notebooks/stuck", "notebooks/watch", "notebooks/babylm", "notebooks/gallery")
RUN += () if tags.has("tested") else ("tutorial",)  # noqa: F821 - Sphinx has it here
HEAD = """---
file_format: mystnb
kernelspec:
  name: python3
---
"""
FIRST = """
```{{code-cell}} python
:tags: [remove-cell]
import os
import altair
os.chdir({place!r})
altair.renderers.enable("svg")
```
"""


def as_notebook(app, page, source):
    """A page that is run: its blocks as cells, without the output that it shows for readers, and in the project's folder."""
    if page in RUN:
        title, rest = source[0].split("\n", 1)
        cells = re.sub(
            r"^```python\n(.*?)^```\n(?:\n(?: {4}[^\n]*\n)+)?", r"```{code-cell} python\n\1```\n", rest, flags=re.M | re.S
        )
        source[0] = HEAD + title + "\n" + FIRST.format(place=str(PLACE)) + cells


def empty_place(app):
    """Pages are run where there are the recipes and a finished quickstart, and nothing else."""
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / "runs").mkdir(parents=True)
    for what in ("recipes", "runs/quickstart"):
        (PLACE / what).symlink_to(ROOT / what)


def whole(app, error):
    """What was built holds together and asks the network for nothing; what Sphinx itself does not see of this is an error here."""
    pages = {} if error else {page.resolve(): page.read_text(encoding="utf-8") for page in Path(app.outdir).rglob("*.html")}
    if wrong := [f"{page}: {said}" for page, text in pages.items() for said in _wrong(page, SCRIPTS.sub(r"\1", text))]:
        raise ExtensionError("\n".join(wrong))


SCRIPTS = re.compile(r"(<script\b[^>]*>).*?(?=</script>)", re.S)
TARGETS = re.compile(r'<(a|link|script|img|iframe)\b[^>]*?\s(?:href|src)="([^"]*)"')


def _wrong(page, text):
    """Links that lead nowhere, and what a browser would load from elsewhere."""
    for tag, target in TARGETS.findall(text):
        parts = urlsplit(unescape(target))
        if parts.scheme or parts.netloc:
            if tag != "a" and parts.scheme != "data":
                yield f"{target} is loaded from elsewhere"
        elif not (page.parent / unquote(parts.path)).exists():
            yield f"{target} is not there"


def setup(app):
    """Sphinx calls this."""
    app.connect("build-finished", whole)
    app.connect("builder-inited", empty_place)
    app.connect("source-read", as_notebook)
