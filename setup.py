"""Everything stands in pyproject.toml; here only what a wheel gets beside the package: the recipes, which lie outside of it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class WithRecipes(build_py):
    """Copies recipes/ to where `ontogeny run NAME` looks for it in an installed package."""

    def run(self) -> None:
        """As it is, and then the recipes."""
        super().run()
        if not self.editable_mode:
            place = Path(self.build_lib) / "ontogeny" / "recipes"
            place.mkdir(parents=True, exist_ok=True)
            for recipe in sorted((HERE / "recipes").glob("*.yaml")):
                shutil.copy(recipe, place)


setup(cmdclass={"build_py": WithRecipes})
