"""The table of rule extrapolation from readings with means on paper, beside the published figures."""

import pytest
import tiny

from ontogeny import disk
from ontogeny import recipe as recipes
from ontogeny.instruments.rule_table import last, lowest, published, rule_table
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

LOSSES = {0: {0: 2.0, 10: 0.5, 20: 0.7}, 1: {0: 2.0, 10: 0.9, 20: 0.4}}  # seed -> step -> dev loss
OOD = {0: {0: 0.0, 10: 0.2, 20: 0.6}, 1: {0: 0.0, 10: 0.1, 20: 0.4}}


def run(folder, language="L3", model="opt", instruments=True, readings=True):
    part = f"instruments=[{{kind: rules, language: {language}}}]" if instruments else "instruments=[]"
    recipe = tiny.recipe(f"name={language}-{model}", part, f"model={{kind: {model}}}")
    here = RunFolder(folder / recipe.name)
    with disk.atomic(here.recipe) as temporary:
        temporary.write_text(recipes.dump(recipe), encoding="utf-8")
    here.note(kind="trained")
    for seed, losses in LOSSES.items():
        for step, loss in losses.items():
            tiny.keep_reading(here, "loss", seed, step, dev=loss)
            if readings:
                rules = {"kind": "rules", "language": language}
                tiny.keep_reading(here, rules, seed, step, ood_rule1=OOD[seed][step], test_loss=loss + 1)
    return here.path


def row(table, **fields):
    for name, value in fields.items():
        table = table.filter(table[name] == value)
    return table.row(0, named=True)


def test_means_and_spreads_at_the_lowest_loss_of_each_seed_and_at_the_end(tmp_path):
    table = rule_table([run(tmp_path)])
    best = row(table, moment="lowest dev loss", reading="ood_rule1")  # seed 0 at step 10: .2; seed 1 at step 20: .4
    assert best["mean"] == pytest.approx(0.3) and best["sd"] == pytest.approx(0.02**0.5) and best["step"] == 15
    assert (best["run"], best["language"], best["model"], best["seeds"]) == ("L3-opt", "L3", "opt", 2)
    end = row(table, moment="end", reading="ood_rule1")
    assert end["mean"] == pytest.approx(0.5) and end["step"] == 20
    assert row(table, moment="end", reading="test_loss")["mean"] == pytest.approx(1.55)


def test_published_figures_and_chance_stand_beside_ours(tmp_path):
    table = rule_table([run(tmp_path), run(tmp_path, model="lstm")])
    opt, lstm = (row(table, model=model, moment="end", reading="ood_rule1") for model in ("opt", "lstm"))
    assert (opt["published"], opt["published_sd"], opt["published_runs"]) == (0.657, 0.162, 268)  # OPT is a Transformer
    assert (lstm["published"], lstm["published_sd"], lstm["published_runs"]) == (0.376, 0.209, 8)
    assert opt["chance"] == lstm["chance"] == pytest.approx(0.15396, abs=1e-5)
    assert row(table, model="opt", moment="end", reading="test_loss")["published"] is None  # theirs counts padding


def test_l2_is_compared_where_their_code_counts_as_we_do(tmp_path):
    table = rule_table([run(tmp_path, language="L2")])
    assert row(table, moment="end", reading="ood_rule1")["published"] is None


def test_one_seed_has_no_spread(tmp_path, monkeypatch):
    monkeypatch.delitem(LOSSES, 1)
    assert row(rule_table([run(tmp_path)]), moment="end", reading="ood_rule1")["sd"] is None


def test_lowest_takes_the_earliest_of_equals():
    losses = {(0, 0): 1.0, (0, 20): 0.5, (0, 10): 0.5, (3, 5): 0.1}
    assert lowest(losses) == {0: 10, 3: 5} and last(losses) == {0: 20, 3: 5}


def test_a_run_without_the_instrument_or_its_readings_is_named(tmp_path):
    with pytest.raises(OntogenyError, match="L3-opt has no instrument of kind rules"):
        rule_table([run(tmp_path, instruments=False)])
    with pytest.raises(OntogenyError, match="L5-opt has not been read with the instrument rules"):
        rule_table([run(tmp_path, language="L5", readings=False)])


def test_the_published_figures_are_whole():
    found = published()
    assert len(found) == 6 * 5
    assert all(
        0 <= row[key] <= 1 for row in found.values() for key in ("id_rule1", "id_rule2", "ood_rule1", "ood_rule2_completion")
    )
    assert found["L4", "transformer"]["ood_rule1"] == 0.98 and found["L6", "lstm"]["ood_rule1"] == 1.0
