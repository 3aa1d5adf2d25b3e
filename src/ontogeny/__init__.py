"""ontogeny: a laboratory for how language models grow up, and where they get stuck.

import ontogeny as og
run = og.run("recipes/quickstart.yaml")
run.verdicts()                 # a polars frame
run = og.open("runs/babylm-small")
run.figure("map")              # an altair chart
og.surprisals("gpt2-folder", ["The dog barks."])  # a row a token
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ontogeny.laboratory import Run, run
    from ontogeny.laboratory import Run as open
    from ontogeny.recipe import Recipe
    from ontogeny.recipe import load as load_recipe
    from ontogeny.records import OntogenyError
    from ontogeny.scoring.surprisals import surprisals
    from ontogeny.watch.callback import Watch

__all__ = ["OntogenyError", "Recipe", "Run", "Watch", "load_recipe", "open", "run", "surprisals"]

NOWHERE = "/nonexistent"  # as systems name the home of an account without one

# The library of figures asks for a home when it is imported, although it is to keep nothing there.
try:
    Path.home()
except RuntimeError:
    os.environ["HOME"] = NOWHERE

# Loaded when first asked for: `ontogeny --help` should not wait for torch.
_HOMES = {
    "run": "ontogeny.laboratory:run",
    "Run": "ontogeny.laboratory:Run",
    "open": "ontogeny.laboratory:Run",
    "Watch": "ontogeny.watch.callback:Watch",
    "Recipe": "ontogeny.recipe:Recipe",
    "load_recipe": "ontogeny.recipe:load",
    "OntogenyError": "ontogeny.records:OntogenyError",
    "surprisals": "ontogeny.scoring.surprisals:surprisals",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ontogeny' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name].split(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
