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
    from ontogeny.commands.adoption import adopt
    from ontogeny.commands.auditing import audit_suite as audit
    from ontogeny.commands.beginning import new
    from ontogeny.commands.early_warning import warn_of as warn
    from ontogeny.commands.ensembles import ensembles as ensemble
    from ontogeny.commands.exporting import export
    from ontogeny.commands.unsticking import unstick
    from ontogeny.comparison.page import compare
    from ontogeny.judging import judge_table as judge
    from ontogeny.laboratory import Run, run
    from ontogeny.laboratory import Run as open
    from ontogeny.readers.folders import score_folders as score
    from ontogeny.recipe import Recipe
    from ontogeny.recipe import load as load_recipe
    from ontogeny.records import OntogenyError
    from ontogeny.scoring.surprisals import surprisals
    from ontogeny.studies import commands as studies
    from ontogeny.watch.callback import Watch

__all__ = [
    "OntogenyError",
    "Recipe",
    "Run",
    "Watch",
    "adopt",
    "audit",
    "compare",
    "ensemble",
    "export",
    "judge",
    "load_recipe",
    "new",
    "open",
    "run",
    "score",
    "studies",
    "surprisals",
    "unstick",
    "warn",
]

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
    # what the command line has, under its names; a run's own stages are methods of Run
    "adopt": "ontogeny.commands.adoption:adopt",
    "new": "ontogeny.commands.beginning:new",
    "score": "ontogeny.readers.folders:score_folders",
    "judge": "ontogeny.judging:judge_table",
    "compare": "ontogeny.comparison.page:compare",
    "audit": "ontogeny.commands.auditing:audit_suite",
    "warn": "ontogeny.commands.early_warning:warn_of",
    "ensemble": "ontogeny.commands.ensembles:ensembles",
    "export": "ontogeny.commands.exporting:export",
    "unstick": "ontogeny.commands.unsticking:unstick",
    "studies": "ontogeny.studies:commands",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ontogeny' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name].split(":")
    value = import_module(f"{module}.{attribute}") if name == "studies" else getattr(import_module(module), attribute)
    globals()[name] = value
    return value
