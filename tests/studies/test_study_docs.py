"""docs/studies.md has every field of a study with its true default, and its example is a study.

`python tests/studies/test_study_docs.py` writes the tables anew.
"""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import planned_study
from test_recipe_docs import TABLE, rows

from ontogeny.studies import plan, study_file

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
PARTS = {
    part.__name__: part
    for part in (
        plan.StudyFile,
        plan.ArmTemplate,
        plan.Prediction,
        plan.Region,
        plan.Analysis,
        plan.Hypothesis,
        plan.Guards,
    )
}


def table(name):
    """The fields as a file names them: what Python calls `levels` is `for` there."""
    text = rows(name, PARTS[name])
    for field, facts in PARTS[name].model_fields.items():
        text = text.replace(f"| `{field}` |", f"| `{facts.alias or field}` |")
    return text.replace("`{}`", "none").replace("| `` |", "| none |")


@pytest.mark.parametrize("name", PARTS)
def test_the_page_has_every_field_with_its_true_default(name):
    found = {match[2]: match[3] for match in TABLE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert found.get(name) == table(name), "write it anew: python tests/studies/test_study_docs.py"


def test_the_example_is_a_study(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "micro.yaml").write_text(planned_study.BASE, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(text.replace("kind: exchange", "kind: fake"), encoding="utf-8")
    study = study_file.load(tmp_path / "study.yaml")
    assert [arm.name for arm in study.arms] == ["untouched", "all -1", "all 1", "early -1", "early 1", "warm-up x 2"]


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda m: f"{m[1]}{table(m[2])}{m[4]}", PAGE.read_text(encoding="utf-8")), encoding="utf-8")
