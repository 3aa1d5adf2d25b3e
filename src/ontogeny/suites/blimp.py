"""BLiMP, the Benchmark of Linguistic Minimal Pairs: 67 paradigms of 1,000 pairs (Warstadt et al. 2020, TACL 8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from ontogeny.files import characters, objects
from ontogeny.records import OntogenyError, Pair
from ontogeny.suites.jsonl import ParadigmFolder, sentence, truth, value

# (phenomenon, field): paradigm: human agreement, the share of single forced-choice judgements that chose the good
# sentence (mean of all 67: .886).  Source: github.com/alexwarstadt/blimp, raw_results/summary, CC BY 4.0: total_mean of
# human_validation_summary.csv, and the phenomena of models_summary.jsonl, which are the paper's twelve.
AGREEMENT: dict[tuple[str, str], dict[str, float]] = {
    ("anaphor_agreement", "morphology"): {
        "anaphor_gender_agreement": 0.96,
        "anaphor_number_agreement": 0.99,
    },
    ("argument_structure", "syntax"): {
        "animate_subject_passive": 0.86,
        "animate_subject_trans": 0.87,
        "causative": 0.98,
        "drop_argument": 0.868947368421053,
        "inchoative": 0.82,
        "intransitive": 0.9,
        "passive_1": 0.95,
        "passive_2": 0.86,
        "transitive": 0.99,
    },
    ("binding", "syntax_semantics"): {
        "principle_A_c_command": 0.86,
        "principle_A_case_1": 0.98,
        "principle_A_case_2": 0.96,
        "principle_A_domain_1": 0.95,
        "principle_A_domain_2": 0.75,
        "principle_A_domain_3": 0.828947368421053,
        "principle_A_reconstruction": 0.78,
    },
    ("control_raising", "syntax_semantics"): {
        "existential_there_object_raising": 0.898421052631579,
        "existential_there_subject_raising": 0.88,
        "expletive_it_object_raising": 0.856842105263158,
        "tough_vs_raising_1": 0.75,
        "tough_vs_raising_2": 0.81,
    },
    ("determiner_noun_agreement", "morphology"): {
        "determiner_noun_agreement_1": 0.957836257309941,
        "determiner_noun_agreement_2": 0.948947368421053,
        "determiner_noun_agreement_irregular_1": 0.92,
        "determiner_noun_agreement_irregular_2": 0.85,
        "determiner_noun_agreement_with_adj_2": 0.96,
        "determiner_noun_agreement_with_adj_irregular_1": 0.937777777777778,
        "determiner_noun_agreement_with_adj_irregular_2": 0.85,
        "determiner_noun_agreement_with_adjective_1": 0.95,
    },
    ("ellipsis", "syntax"): {
        "ellipsis_n_bar_1": 0.92,
        "ellipsis_n_bar_2": 0.78,
    },
    ("filler_gap_dependency", "syntax"): {
        "wh_questions_object_gap": 0.85,
        "wh_questions_subject_gap": 0.98,
        "wh_questions_subject_gap_long_distance": 0.848888888888889,
        "wh_vs_that_no_gap": 0.97,
        "wh_vs_that_no_gap_long_distance": 0.919473684210526,
        "wh_vs_that_with_gap": 0.77,
        "wh_vs_that_with_gap_long_distance": 0.746842105263158,
    },
    ("irregular_forms", "morphology"): {
        "irregular_past_participle_adjectives": 0.99,
        "irregular_past_participle_verbs": 0.95,
    },
    ("island_effects", "syntax"): {
        "adjunct_island": 0.94,
        "complex_NP_island": 0.804444444444444,
        "coordinate_structure_constraint_complex_left_branch": 0.9,
        "coordinate_structure_constraint_object_extraction": 0.908947368421053,
        "left_branch_island_echo_question": 0.91,
        "left_branch_island_simple_question": 0.99,
        "sentential_subject_island": 0.606315789473684,
        "wh_island": 0.73,
    },
    ("npi_licensing", "semantics"): {
        "matrix_question_npi_licensor_present": 0.98,
        "npi_present_1": 0.83,
        "npi_present_2": 0.98,
        "only_npi_licensor_present": 0.92,
        "only_npi_scope": 0.72,
        "sentential_negation_npi_licensor_present": 0.927894736842105,
        "sentential_negation_npi_scope": 0.81,
    },
    ("quantifiers", "semantics"): {
        "existential_there_quantifiers_1": 0.94,
        "existential_there_quantifiers_2": 0.764210526315789,
        "superlative_quantifiers_1": 0.91,
        "superlative_quantifiers_2": 0.85,
    },
    ("subject_verb_agreement", "morphology"): {
        "distractor_agreement_relational_noun": 0.81,
        "distractor_agreement_relative_clause": 0.856842105263158,
        "irregular_plural_subject_verb_agreement_1": 0.94,
        "irregular_plural_subject_verb_agreement_2": 0.95,
        "regular_plural_subject_verb_agreement_1": 0.95,
        "regular_plural_subject_verb_agreement_2": 0.95,
    },
}

PHENOMENON = {paradigm: group for group, paradigms in AGREEMENT.items() for paradigm in paradigms}
HUMAN = {paradigm: mean for paradigms in AGREEMENT.values() for paradigm, mean in paradigms.items()}

# Where the data's labels differ from the paper's, which put a phenomenon into one field and know no s-selection:
# (what the file says: term, field) -> (what the pair gets).  Any other difference is an error.
SPELLINGS = {
    ("s-selection", "syntax"): ("argument_structure", "syntax"),  # animate_subject_passive, animate_subject_trans
    ("binding", "syntax/semantics"): ("binding", "syntax_semantics"),  # principle_A_case_2
    ("npi_licensing", "syntax_semantics"): (
        "npi_licensing",
        "semantics",
    ),  # only_npi_scope, sentential_negation_npi_scope
}


class Warstadt(ParadigmFolder):
    """The 67 paradigms in BLiMP's own jsonl, whichever of their pairs a folder holds."""

    known: ClassVar[tuple[str, ...]] = tuple(sorted(HUMAN, key=str.lower))
    pair_field: ClassVar[str]  # the field with the pair's id

    def read(self, paradigm: str, file: Path) -> Iterator[tuple[int, Pair]]:
        """1-based line and pair.  Raises OntogenyError with file and line for a field that is missing or wrong."""
        for line, row in objects(file):
            place = f"{file}:{line}"
            if value(row, "UID", place) != paradigm:
                raise OntogenyError(f"{place}: UID is {row['UID']!r} in the file of {paradigm!r}; every line has the file's")
            phenomenon, field = _labels(row, paradigm, place)
            yield (
                line,
                Pair(
                    paradigm=paradigm,
                    pair=characters(str(value(row, self.pair_field, place)), self.pair_field, place),
                    good=sentence(row, "sentence_good", place),
                    bad=sentence(row, "sentence_bad", place),
                    phenomenon=phenomenon,
                    field=field,
                    one_prefix=truth(row, "one_prefix_method", place),
                    two_prefix=truth(row, "two_prefix_method", place),
                ),
            )

    def human(self) -> dict[str, float]:
        """Share of human judgements that chose the good sentence, by chosen paradigm."""
        return {name: HUMAN[name] for name in self.known if name in self.paradigms or not self.paradigms}


class BLiMP(Warstadt):
    """BLiMP as it was published: git clone https://github.com/alexwarstadt/blimp."""

    kind: Literal["blimp"] = "blimp"
    inside: ClassVar[tuple[str, ...]] = ("", "data")
    pair_field: ClassVar[str] = "pairID"


def _labels(row: dict[str, Any], paradigm: str, place: str) -> tuple[str, str]:
    said = str(value(row, "linguistics_term", place)), str(value(row, "field", place))
    if SPELLINGS.get(said, said) != PHENOMENON[paradigm]:
        ours = PHENOMENON[paradigm]
        raise OntogenyError(f"{place}: linguistics_term {said[0]!r}, field {said[1]!r}; {paradigm} has {ours[0]!r}, {ours[1]!r}")
    return PHENOMENON[paradigm]
