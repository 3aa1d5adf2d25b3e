"""Suites as declarations, each against a small file made by hand from its published description."""

import json

import pytest

from ontogeny import recipe
from ontogeny.recipe import Observation
from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring.reading import ask
from ontogeny.suites.contrast import contrast_of, distinct
from ontogeny.suites.declared import declarations
from ontogeny.suites.linzen import plural_of, singular


def suite(kind, path, **settings):
    return recipe.build(Observation, {"name": "x", "suites": [{"kind": kind, "path": str(path), **settings}]}, "here").suites[0]


def jsonl(file, *rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


WORLD = {
    "Domain": "agent-properties",
    "Context1": "Ada likes the rain.",
    "Context2": "Ada hates the rain.",
    "Target1": "Ada runs out.",
    "Target2": "Ada stays in.",
}


def test_ewok_holds_the_target_and_changes_the_context(tmp_path):
    jsonl(tmp_path / "full_eval" / "ewok_filtered" / "world.jsonl", WORLD)
    first, second = suite("ewok", tmp_path).pairs()
    assert first.asked == (("Ada likes the rain.", "Ada runs out."), ("Ada hates the rain.", "Ada runs out."))
    assert second.asked == (("Ada hates the rain.", "Ada stays in."), ("Ada likes the rain.", "Ada stays in."))
    assert (first.paradigm, first.pair, second.pair) == ("agent-properties", "1.1", "1.2")
    assert contrast_of(first) == "likes|hates"
    assert distinct([first, second]) == ([first, second], [])


def test_the_pipelines_of_babylm_are_settings(tmp_path):
    jsonl(tmp_path / "fast_eval" / "ewok_fast" / "world.jsonl", WORLD)
    (old,) = suite("ewok", tmp_path, convention="babylm-2025", fast=True).pairs()
    assert old == Pair("agent-properties", "1", "Ada runs out.", "Ada stays in.", context="Ada likes the rain.")
    (new,) = suite("ewok", tmp_path, convention="babylm-2026", fast=True).pairs()
    assert new.contexts == ("Ada likes the rain.", "Ada hates the rain.")
    assert suite("ewok", tmp_path, convention="babylm-2026", fast=True).name == "ewok-babylm-2026-fast"
    with pytest.raises(OntogenyError, match="ewok is read in one way, or as babylm-2025, babylm-2026, not as babylm"):
        suite("ewok", tmp_path, convention="babylm")
    with pytest.raises(OntogenyError, match="dais is no task of BabyLM's"):
        suite("dais", tmp_path, fast=True)


def test_comps_is_a_property_after_two_concepts(tmp_path):
    row = {"prefix_acceptable": "A robin", "prefix_unacceptable": "A spoon", "property_phrase": "can fly."}
    jsonl(tmp_path / "comps" / "comps_base.jsonl", row)
    (pair,) = suite("comps", tmp_path).pairs()
    assert pair == Pair("comps_base", "1", "can fly.", "can fly.", contexts=("A robin", "A spoon"))


def test_entity_tracking_has_five_options_after_a_text(tmp_path):
    row = {"input_prefix": "Box 0 has the key, Box 0 has", "options": [f" the {x}." for x in "abcde"], "numops": 2}
    file = jsonl(tmp_path / "entity_tracking" / "regular.jsonl", row)
    (pair,) = suite("entity-tracking", tmp_path).pairs()
    assert pair.options == ("the a.", "the b.", "the c.", "the d.", "the e.")
    assert (pair.paradigm, pair.phenomenon, pair.context) == ("regular_2_ops", "regular", "Box 0 has the key, Box 0 has")
    for options, told in (
        ([], "has 0 options; two or more"),
        (None, "has no options"),
        ([" a", " b", " b"], "'b' is a wrong option"),
    ):
        jsonl(file, row | {"options": options})
        with pytest.raises(OntogenyError, match=f"{file}:1: .*{told}"):
            list(suite("entity-tracking", tmp_path).pairs())
    jsonl(file, row | {"options": [" a", " a"]})
    with pytest.raises(OntogenyError, match="no pair whose two sentences differ"):
        ask(suite("entity-tracking", tmp_path), None)


def test_wug_words_are_graded(tmp_path):
    file = jsonl(
        tmp_path / "wug_past_tense" / "wug_past_tense.jsonl", {"sentences": "to blick. blicked\tto blick. bluck", "ratio": 0.8}
    )
    (pair,) = suite("wug-past", tmp_path).pairs()
    assert pair == Pair("wug_past_tense", "1", "to blick. blicked", "to blick. bluck", human=0.8)
    jsonl(file, {"sentences": "a\tb", "ratio": "often"})
    with pytest.raises(OntogenyError, match=f"{file}:1: 'ratio' is 'often'; a number is expected"):
        list(suite("wug-past", tmp_path).pairs())


def test_the_real_wug_words_are_all_there(real_data):
    asked = ask(suite("wug-adjective", real_data / "suites" / "babylm_2025"), None)
    assert len(asked.pairs) == 200
    assert {pair.paradigm for pair in asked.pairs} == {"wug_adj_nominalization"}
    assert all(0 <= pair.human <= 1 and pair.bad for pair in asked.pairs)


GULORDAVA = """pattern\tconstr_id\tsent_id\tform\tclass\ttype\tprefix\tsent
N_V\t1\t0\truns\tcorrect\toriginal\tThe dog near the cats\tThe dog near the cats runs .
N_V\t1\t0\trun\twrong\toriginal\tThe dog near the cats\tThe dog near the cats runs .
N_V\t1\t1\tsing\twrong\tgenerated\tThe stone of the days\t"The stone "" of the days"
N_V\t1\t1\tsings\tcorrect\tgenerated\tThe stone of the days\tThe stone of the days sings .
"""


def test_gulordavas_two_rows_are_one_item(tmp_path):
    file = tmp_path / "generated.tab"
    file.write_text(GULORDAVA)
    assert list(suite("gulordava", file).pairs()) == [
        Pair("original", "N_V-1-0", "runs", "run", context="The dog near the cats"),
        Pair("generated", "N_V-1-1", "sings", "sing", context="The stone of the days"),
    ]
    file.write_text(GULORDAVA.replace("wrong\tgenerated", "correct\tgenerated"))
    with pytest.raises(OntogenyError, match=f"{file}:5: N_V 1 1 has another row that is 'correct', of the item at {file}:4"):
        list(suite("gulordava", file).pairs())
    file.write_text("".join(GULORDAVA.splitlines(keepends=True)[:4]))
    with pytest.raises(OntogenyError, match=f"{file}:4: the item N_V 1 1 has no row whose 'class' is 'correct'"):
        list(suite("gulordava", file).pairs())


def test_li_adger_is_pairs_and_graded_sentences(tmp_path):
    file = tmp_path / "li.csv"
    file.write_text("contrast,condition,sentence,zscore\n7,good,Who left?,0.9\n7,bad,Whom left?,-0.4\n")
    assert list(suite("li-adger", file).pairs()) == [
        Pair("pairs", "7.1", "Who left?", "Whom left?"),
        Pair("sentences", "7.2", "Who left?", "", human=0.9),
        Pair("sentences", "7.3", "Whom left?", "", human=-0.4),
    ]
    file.write_text("contrast,condition,sentence,zscore\n7,fine,Who left?,0.9\n")
    with pytest.raises(OntogenyError, match=f"{file}:2: 'condition' is 'fine'; good or bad is expected"):
        list(suite("li-adger", file).pairs())


def test_dais_is_how_far_the_double_object_is_preferred(tmp_path):
    file = tmp_path / "generated_pairs_with_results.csv"
    file.write_text("classification,DOsentence,PDsentence,BehavDOpreference\nalternating,Jo sent us it,Jo sent it to us,8.25\n")
    (pair,) = suite("dais", tmp_path).pairs()
    assert pair == Pair("alternating", "1", "Jo sent us it", "Jo sent it to us", human=8.25)
    assert suite("dais", tmp_path).left_out() == []
    (tmp_path / "more.csv").write_text("")
    assert suite("dais", tmp_path).left_out() == ["left out, no file of dais: more.csv"]


LINZEN = "\t".join(["sentence", "orig_sentence", "verb", "verb_pos", "verb_index", "n_intervening", "n_diff_intervening"])


def linzen(*rows):
    return f"{LINZEN}\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)


def test_linzens_verbs_get_their_other_number_and_rows_without_one_are_counted(tmp_path):
    file = tmp_path / "agr.tsv"
    file.write_text(
        linzen(
            ("the NN near cats runs .", "the yak near cats runs .", "runs", "VBZ", 5, 1, 1),
            ("they run", "they run", "run", "VBP", 2, 0, 0),
            ("it uses", "it uses", "uses", "VBZ", 2, 0, 0),
            ("it is here", "it is here", "is", "VBZ", 2, 2, 1),
        )
    )
    first, second = suite("linzen", file).pairs()
    assert first == Pair("attractors_1", "1", "runs", "run", "subject_verb_agreement", context="the yak near cats")
    assert second == Pair("attractors_0", "2", "run", "runs", "subject_verb_agreement", context="they")
    assert next(suite("linzen", file, words="frequent").pairs()).context == "the NN near cats"
    assert ask(suite("linzen", file), None).told == [
        "1 rows left out: no other form of the verb that is certain",  # of to use, or of to us
        "1 rows left out: nouns of both numbers between subject and verb",
    ]
    file.write_text(linzen(("they run", "they run", "run", "VBP", 1, 0, 0)))
    with pytest.raises(OntogenyError, match=f"{file}:2: word 1 of the sentence is not its verb, 'run'"):
        list(suite("linzen", file).pairs())


@pytest.mark.parametrize("plural", ["are", "have", "go", "pass", "watch", "carry", "say", "use", "run"])
def test_a_verbs_two_forms_lead_to_one_another(plural):
    assert plural_of(singular(plural), {plural}) == plural


def test_goldbergs_table_has_no_line_of_names(tmp_path):
    file = tmp_path / "lgd.tsv"
    file.write_text("2\tthe cats near it run\tthe cats near it ***mask*** .\trun\truns\n")
    (pair,) = suite("linzen-pairs", file).pairs()
    assert pair == Pair("attractors_2", "1", "run", "runs", "subject_verb_agreement", context="the cats near it")
    file.write_text("2\tthe cats run\tthe cats run .\trun\truns\n")
    with pytest.raises(OntogenyError, match=rf"{file}:1: 'masked' has no \*\*\*mask\*\*\*"):
        list(suite("linzen-pairs", file).pairs())


def test_a_row_without_a_declared_column_is_named(tmp_path):
    file = jsonl(tmp_path / "comps" / "comps_base.jsonl", {"prefix_acceptable": "A robin", "property_phrse": "flies"})
    with pytest.raises(OntogenyError, match=f"{file}:1: no field 'property_phrase'; did you mean 'property_phrse'"):
        list(suite("comps", tmp_path).pairs())


def test_every_declaration_is_registered_and_says_how_it_is_had():
    from ontogeny.registry import TABLES

    for name, one in declarations().items():
        assert TABLES["suite"][name].endswith(":Declared")
        assert one.says and one.by_hand and bool(one.items) != bool(one.options)
