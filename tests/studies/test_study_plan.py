import planned_study
import pytest

from ontogeny.records import OntogenyError
from ontogeny.studies import commands, study_file
from ontogeny.studies.arms import recipe_differences, slug, window_in_words


@pytest.fixture
def study(tmp_path):
    return planned_study.study(tmp_path)


def test_every_combination_of_levels_is_an_arm(study):
    names = ["untouched", "all -1", "all 0.5", "all 1", "early -1", "early 0.5", "early 1", "warm-up x 2"]
    assert [arm.name for arm in study.arms] == names
    assert study.arm("early -1").factors == {"timing": "early", "dose": -1.0}
    assert study.arm("untouched").factors == {"dose": 0.0} and study.arm("warm-up x 2").factors == {}


def test_an_arms_recipe_is_the_base_and_what_the_arm_says(study):
    recipes = {arm.name: arm.recipe for arm in study.arms}
    assert max(study.arms, key=lambda arm: arm.priority).name == "warm-up x 2"  # of a lower priority than all others
    early = recipes["early -1"]
    assert (early.interventions[0].dose, early.interventions[0].when.until) == (-1, 0.1)
    assert all(recipe.training.batch == 2 and recipe.seeds == tuple(range(8)) for recipe in recipes.values())
    assert (recipes["warm-up x 2"].training.warmup, recipes["untouched"].training.warmup) == (0.1, 0.05)
    assert recipes["untouched"].interventions == () and early.name == "early-minus-1"


def test_changes_are_told_in_words(study):
    assert study.arm("untouched").changes == "nothing"
    assert study.arm("warm-up x 2").changes == "training.warmup=0.1"
    assert study.arm("early 0.5").changes == "fake (paradigm binding, dose 0.5, first 10 % of training)"
    assert study.arm("all 1").changes == "fake (paradigm binding, dose 1)"
    assert [window_in_words(*w) for w in ((0, 1), (0.1, 1), (0.25, 0.5))] == [
        "",
        "last 90 % of training",
        "from 25 % to 50 % of training",
    ]


def test_slugs_are_folders_names_and_differ():
    assert [slug(name) for name in ("all -1", "all 1", "warm-up × 2", "Früh .5", "1-2")] == [
        "all-minus-1",
        "all-1",
        "warm-up-2",
        "fr-h-.5",
        "1-2",
    ]
    assert slug("…").startswith("arm-") and slug("…") != slug("—")


def test_arms_of_one_slug_get_a_piece_of_their_names_hash(tmp_path):
    study = planned_study.study(tmp_path, ("name: warm-up x 2", "name: UNTOUCHED"))
    slugs = [study.arms[0].slug, study.arms[-1].slug]
    assert all(s.startswith("untouched-") for s in slugs) and len(set(slugs)) == 2


def test_what_is_written_out_reads_back_to_the_same_arms(study):
    again = study_file.parse(study_file.dump(study), "again")
    for mine, other in zip(study.arms, again.arms, strict=True):
        assert (mine.name, mine.slug, mine.factors, mine.changes) == (other.name, other.slug, other.factors, other.changes)
        assert mine.recipe == other.recipe
    assert again.file.predictions == study.file.predictions and again.file.hypothesis == study.file.hypothesis
    assert study_file.dump(again) == study_file.dump(study)


def test_patterns_and_the_reference(study):
    arms = [arm.name for arm in study.arms_of(study.file.predictions["P1"])]
    assert arms == ["untouched", "all -1", "all 0.5", "all 1"]
    assert study.paradigms_of(study.file.predictions["P5"], ["agreement", "binding"]) == ["agreement"]


def test_controls_left_out_are_all_other_paradigms(tmp_path):
    study = planned_study.study(tmp_path, ("controls: [agreement]\n", ""))
    assert study.file.controls is None and study.controls_among(["a", "binding", "c"]) == ["a", "c"]
    with pytest.raises(OntogenyError, match="paradigm 'binding' was not read; did you mean 'bindings'"):
        study.paradigms_of(study.file.predictions["P1"], ["bindings"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("question:", "qestion:", r"study.yaml:LINE: qestion is not known here; did you mean 'question'"),
        ("priority: 2", "prority: 2", r"study.yaml:LINE: prority is not known here; did you mean 'priority'\? \(warm-up x 2\)"),
        ("over: bigram_margin", "ovr: bigram_margin", r"study.yaml:LINE: ovr is not known here; did you mean 'over'"),
        (
            "measure: early_margin",
            "measure: early",
            r"study.yaml:LINE: measure is 'early', no measure .*; did you mean 'early_margin'\? \(P1\)",
        ),
        ('dose: "{dose}"', 'doze: "{dose}"', r"study.yaml:LINE: interventions.0.doze is not known here; did you mean 'dose'\?"),
        ("kind: fake", "kind: fakes", r"study.yaml:LINE: interventions.0 no intervention is called 'fakes'; did you mean 'fake'"),
        (
            "[training.warmup=0.1]",
            "[training.warmpu=0.1]",
            r"warmpu is not known here; did you mean 'warmup'\? \(arm 'warm-up x 2'\)",
        ),
        ("[training.warmup=0.1]", "['seeds=[1]']", r"setting seeds=\[1\]: seeds is the study's, the same for all arms"),
        ("reference: untouched", "reference: untuched", r"has no arm 'untuched'; did you mean 'untouched'"),
        ("arms: [early 1]", "arms: [erly 1]", r"P2.arms: no arm is called 'erly 1'; did you mean 'early 1'"),
        ("arms: [early 1]", "arms: [untouched]", r"P2.arms has the reference alone"),
        ('{dose}", when', '{dos}", when', r"speaks of \{dos\}, which is no factor of it; did you mean 'dose'"),
        ('"{timing} {dose}"', '"{timing}"', r"two arms are called 'all'; put every factor into the name"),
        ("training.warmup=0.1", "training.warmup=0.05", r"arms 'untouched' and 'warm-up x 2' have the same recipe"),
        ("over: bigram_margin", "over: doze", r"P1.over: no factor is called 'doze'; did you mean 'dose'"),
        ("supported: {above: 0}", "supported: {above: 0, below: 1}", r"needs exactly one of above, below, within, outside"),
        ("of: slope", "of: difference", r"`over` is for of: slope"),
        ("of: difference", "of: slope", r"a slope needs `over`"),
        ("of: difference", "of: relaxation", r"of: relaxation goes with measure: margin and since: 0.4"),
        ("measure: late_accuracy\n    of: difference", "measure: margin\n    of: difference", r"of: relaxation goes with measure"),
        ("arms: [early 1]", "arms: [early 1]\n    against: erly 1", r"has no arm 'erly 1'; did you mean 'early 1'"),
        ("controls: [agreement]", "controls: [binding]", r"binding is named as a paradigm that should move and as a control"),
        ("seeds: [0, 1,", "seeds: [0, 0,", r"seeds has 0 twice"),
        ("refuted: {P1: supported, P2: refuted}", "refuted: {P1: refuted, P3: refuted}", r"no prediction is called 'P3'"),
        ("refuted: {P1: supported, P2: refuted}", "refuted: {P1: supported}", r"could be supported and refuted at once"),
        ("dose: [-1, 0.5, 1]", "dose: []", r"dose needs its levels"),
        ("dose: [-1, 0.5, 1]", "dose: [[1], 2]", r"dose has a level that is no number or word; give it a label"),
        ("recipe: base.yaml", "recipe: bass.yaml", r"no recipe at .*did you mean '.*base.yaml'"),
        ("training.batch=2", "training.bach=2", r"bach is not known here; did you mean 'batch'"),
        (
            "expected: {early_margin",
            "expected: {erly_margin",
            r"study.yaml:LINE: expected .*'erly_margin'; did you mean 'early_margin'",
        ),
        ("expected: {early_margin", "expected: {P3", r"expected knows no measure and no prediction called 'P3'; did you mean 'P"),
    ],
)
def test_a_mistake_names_line_and_nearest_word(tmp_path, old, new, message):
    line = planned_study.STUDY.split(old)[0].count("\n") + 1
    with pytest.raises(OntogenyError, match=message.replace("LINE", str(line))):
        planned_study.study(tmp_path, (old, new))


def test_a_slope_over_a_factor_needs_the_references_level(tmp_path):
    assert planned_study.study(tmp_path, ("over: bigram_margin", "over: dose"))
    with pytest.raises(OntogenyError, match=r"arm 'untouched' has no number for it; write for: \{dose: \[0\]\} at that arm"):
        planned_study.study(tmp_path, ("over: bigram_margin", "over: dose"), ("    for: {dose: [0]}\n", ""))


def test_a_slope_needs_a_factor_that_varies(tmp_path):
    with pytest.raises(OntogenyError, match="is the same in all its arms"):
        planned_study.study(
            tmp_path, ("over: bigram_margin", "over: dose"), ("dose: [-1, 0.5, 1]", "dose: [0]"), ("early 1", "early 0")
        )


OTHER = """
  - name: other
    recipe: other.yaml
    differs: [training.learning_rate]
predictions:"""


def with_other(folder, *replaced, differs="[training.learning_rate]"):
    other = planned_study.BASE
    for old, new in replaced:
        assert old in other
        other = other.replace(old, new)
    (folder / "other.yaml").write_text(other, encoding="utf-8")
    return planned_study.study(folder, ("\npredictions:", OTHER.replace("[training.learning_rate]", differs)))


def test_an_arm_may_name_another_recipe_if_it_says_what_differs(tmp_path):
    study = with_other(tmp_path, ("learning_rate: 1e-2", "learning_rate: 1e-3"), ("name: tiny", "name: elsewhere"))
    assert study.arm("other").differences == {"training.learning_rate": 0.001}
    assert study.arm("other").changes == "another recipe, which differs in training.learning_rate"
    assert study_file.parse(study_file.dump(study)).arm("other").recipe == study.arm("other").recipe


def test_arms_that_differ_in_more_than_they_say_are_refused_by_name(tmp_path):
    changed = (("learning_rate: 1e-2", "learning_rate: 1e-3"), ("words: 2000", "words: 3000"))
    with pytest.raises(OntogenyError, match=r"in more than it says: corpus.words; .*\(arm 'other'\)"):
        with_other(tmp_path, *changed)
    with pytest.raises(OntogenyError, match=r"differs names 'training.batch', in which the two recipes do not differ"):
        with_other(tmp_path, *changed, differs="[training.learning_rate, corpus, training.batch]")
    assert with_other(tmp_path, *changed, differs="[training, corpus]").arm("other").recipe.corpus.words == 3000


def test_differences_of_recipes_by_hand():
    first = {"a": 1, "b": {"c": [1, {"d": 2}], "e": [1]}, "f": None}
    second = {"a": 1, "b": {"c": [1, {"d": 3}], "e": [1, 2]}, "g": 4}
    assert recipe_differences(first, second) == {"b.c.1.d": 3, "b.e": [1, 2], "g": 4}
    assert recipe_differences(first, first) == {}


def test_an_arm_of_just_that_name_goes_before_a_pattern(tmp_path):
    """`all [1]` means the arm of that name where there is one, and not `all 1`."""
    named = planned_study.study(tmp_path, ("name: warm-up x 2", 'name: "all [1]"'))
    assert named.names_meant("all [1]") == {"all [1]"}
    assert named.names_meant("all *") == {"all -1", "all 0.5", "all 1", "all [1]"}
    assert named.names_meant("none") == set()
    assert planned_study.study(tmp_path).names_meant("all [1]") == {"all 1"}


def test_slugs_of_long_names_fit_a_folder():
    long = [slug("dose " * 100 + end) for end in ("a", "b")]
    assert long[0] != long[1] and all(len(name) < 100 for name in long)


def test_a_study_is_not_begun_under_a_name_that_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("../up", "a/b", "", "a\nb"):
        with pytest.raises(OntogenyError, match="a study's name"):
            commands.new(name, "recipe.yaml", None)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_what_is_made_of_a_whole_run_is_an_outcome_as_an_instruments_column_is(study):
    assert study.of_paradigms("precedence.lead@reading=loss dev@event=recovery")
    assert not study.of_paradigms("phases.phase") and not study.of_paradigms("seeds.accuracy_z")
    with pytest.raises(OntogenyError, match=r"precedence reads lead by @reading=\.\.\., @event=\.\.\..*wrong or open: event"):
        study.of_paradigms("precedence.lead@reading=loss dev")
    with pytest.raises(OntogenyError, match="no column 'leed'; did you mean 'lead'"):
        study.of_paradigms("precedence.leed")
