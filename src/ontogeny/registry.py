"""Name -> "module:attribute", loaded only when asked for.

A new corpus, tokenizer, architecture, suite, intervention, instrument or engine is one small file and one line here.  A package of
somebody else's joins through an entry point in the group `ontogeny.KIND` (for example `ontogeny.corpus`), without touching this
file.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any
from warnings import warn

from ontogeny.records import OntogenyError

TABLES: dict[str, dict[str, str]] = {
    "corpus": {
        "text": "ontogeny.corpora.text:Text",
        "hub": "ontogeny.corpora.hub:Hub",
        "micro-english": "ontogeny.corpora.micro_english:MicroEnglish",
        "formal": "ontogeny.corpora.formal:Formal",
        "infinigram": "ontogeny.ngrams.indexed_text:IndexedText",
    },
    "tokenizer": {
        "bpe": "ontogeny.tokens.trained:BPE",
        "unigram": "ontogeny.tokens.trained:Unigram",
        "word": "ontogeny.tokens.trained:WordTokenizer",
        "character": "ontogeny.tokens.trained:Character",
        "byte": "ontogeny.tokens.trained:Byte",
        "pretrained": "ontogeny.tokens.pretrained:Pretrained",
    },
    "architecture": {
        "opt": "ontogeny.architectures.opt:OPT",
        "gpt2": "ontogeny.architectures.gpt2:GPT2",
        "gpt-neox": "ontogeny.architectures.gpt_neox:GPTNeoX",
        "llama": "ontogeny.architectures.llama:Llama",
        "mamba": "ontogeny.architectures.mamba:Mamba",
        "xlstm": "ontogeny.architectures.xlstm:XLSTM",
        "lstm": "ontogeny.architectures.lstm:LSTM",
        "linear": "ontogeny.architectures.linear:Linear",
        "bigram": "ontogeny.architectures.bigram:Bigram",
        "bert": "ontogeny.architectures.bert:BERT",
        "structformer": "ontogeny.architectures.structformer:StructFormer",
        "structformer-causal": "ontogeny.architectures.structformer:CausalStructFormer",
    },
    "suite": {
        "blimp": "ontogeny.suites.blimp:BLiMP",
        "babylm-blimp": "ontogeny.suites.babylm:FilteredBLiMP",
        "babylm-supplement": "ontogeny.suites.babylm:Supplement",
        "zorro": "ontogeny.suites.zorro:Zorro",
        "table": "ontogeny.suites.table:Table",
        "micro-english": "ontogeny.suites.micro_english:MicroEnglishPairs",
        "formal": "ontogeny.suites.formal:FormalPairs",
        "network-alone": "ontogeny.suites.network_alone:NetworkAlone",
        "untilted": "ontogeny.suites.network_alone:Untilted",
        "both-sides": "ontogeny.suites.network_alone:BothSides",
        "ewok": "ontogeny.suites.declared:Declared",
        "comps": "ontogeny.suites.declared:Declared",
        "entity-tracking": "ontogeny.suites.declared:Declared",
        "wug-adjective": "ontogeny.suites.declared:Declared",
        "wug-past": "ontogeny.suites.declared:Declared",
        "gulordava": "ontogeny.suites.declared:Declared",
        "linzen": "ontogeny.suites.linzen:Linzen",
        "linzen-pairs": "ontogeny.suites.declared:Declared",
        "li-adger": "ontogeny.suites.declared:Declared",
        "dais": "ontogeny.suites.declared:Declared",
        "syntaxgym": "ontogeny.suites.syntaxgym:SyntaxGym",
        "harness": "ontogeny.suites.harness:Harness",
    },
    "intervention": {
        "filter": "ontogeny.interventions.filter:Filter",
        "random-drop": "ontogeny.interventions.random_drop:RandomDrop",
        "inject": "ontogeny.interventions.inject:Inject",
        "bigram-surrogate": "ontogeny.interventions.surrogate:BigramSurrogate",
        "exchange": "ontogeny.interventions.exchange:Exchange",
        "sham-exchange": "ontogeny.interventions.sham:ShamExchange",
        "unigram-edit": "ontogeny.interventions.unigram_only:UnigramEdit",
        "trigram-exchange": "ontogeny.interventions.trigram_only:TrigramExchange",
        "curriculum": "ontogeny.interventions.curriculum:Curriculum",
        "active-forgetting": "ontogeny.interventions.forgetting:ActiveForgetting",
        "reset": "ontogeny.interventions.reset:Reset",
        "re-warming": "ontogeny.interventions.rewarming:ReWarming",
        "averaging": "ontogeny.interventions.averaging:Averaging",
        "jitter": "ontogeny.interventions.jitter:Jitter",
        "over-bigrams": "ontogeny.interventions.over_bigrams:OverBigramsObjective",
        "syntactic-smoothing": "ontogeny.interventions.smoothing:SyntacticSmoothing",
        "down-weight": "ontogeny.interventions.down_weight:DownWeight",
        "context-weight": "ontogeny.interventions.context_weight:ContextWeight",
        "history-dropout": "ontogeny.interventions.history_dropout:HistoryDropout",
        "bigram-contrast": "ontogeny.interventions.bigram_contrast:BigramContrast",
        "distil": "ontogeny.interventions.distil:Distil",
        "hybrid-rows": "ontogeny.interventions.hybrid_rows:HybridRows",
        "pre-pretrain": "ontogeny.interventions.pre_pretrain:PrePretrain",
        "counter-evidence": "ontogeny.interventions.counter_evidence:CounterEvidence",
        "closed-loop": "ontogeny.interventions.closed_loop:ClosedLoop",
    },
    "instrument": {
        "loss": "ontogeny.instruments.dev_loss:DevLoss",
        "rules": "ontogeny.instruments.rules:Rules",
        "reliance": "ontogeny.instruments.reliance:Reliance",
        "distance": "ontogeny.instruments.distance:Distance",
        "reach": "ontogeny.instruments.reach:ContextReach",
        "depth": "ontogeny.instruments.depth:Depth",
        "saliency": "ontogeny.instruments.saliency:Saliency",
        "copying": "ontogeny.instruments.copying:Copying",
        "heads": "ontogeny.instruments.heads:Heads",
        "geometry": "ontogeny.instruments.geometry:Geometry",
        "likeness": "ontogeny.instruments.likeness:Likeness",
        "knowledge": "ontogeny.instruments.knowledge:Knowledge",
        "weights": "ontogeny.instruments.weights:Weights",
        "divergence": "ontogeny.instruments.divergence:Divergence",
        "probes": "ontogeny.instruments.probes:Probes",
        "calibration": "ontogeny.instruments.calibration:MarginCalibration",
        "neurons": "ontogeny.instruments.neurons:Neurons",
        "syntax": "ontogeny.instruments.syntax:SyntacticAttention",
        "reading": "ontogeny.instruments.reading:ReadingTimes",
        "words": "ontogeny.instruments.words:WordKnowledge",
        "samples": "ontogeny.instruments.samples:GeneratedText",
        "priming": "ontogeny.instruments.priming:Priming",
        "dependence": "ontogeny.instruments.dependence:Dependence",
    },
    "engine": {
        "local": "ontogeny.work.local:Local",
        "slurm": "ontogeny.work.slurm:Slurm",
        "ray": "ontogeny.work.ray_cluster:RayCluster",
    },
    "piece": {
        **dict.fromkeys(("prepare", "train", "judge", "report", "run"), "ontogeny.laboratory:perform_stage"),
        "read": "ontogeny.readers.readings:read_piece",
        "score": "ontogeny.readers.folders:score_piece",
        "nap": "ontogeny.work.piece:nap",
    },
    "rank": {"others": "ontogeny.laboratory:follow"},  # what processes do that train a piece's seed with the first one
}

# Names of one version ago that others may still import: room -> old name -> new.  Gone with the next version.
FORMER: dict[str, dict[str, str]] = {
    "ontogeny.interventions": {"Grounds": "InterventionContext"},
    "ontogeny.readers": {"Way": "ReadingMode"},
}


def former(room: str) -> Callable[[str], Any]:
    """A room's `__getattr__`: what FORMER has under an old name, with a DeprecationWarning that says the new one."""

    def named(old: str) -> Any:
        if old not in FORMER[room]:
            raise AttributeError(f"module {room!r} has no attribute {old!r}")
        new = FORMER[room][old]
        warn(f"{room}.{old} is called {new} now; the old name goes with the next version", DeprecationWarning, stacklevel=2)
        return getattr(import_module(room), new)

    return named


def names(kind: str) -> list[str]:
    """The names a recipe may use for `kind`, ours first and then those of installed packages."""
    return list(dict.fromkeys([*TABLES[kind], *(point.name for point in entry_points(group=f"ontogeny.{kind}"))]))


def nearest(word: str, words: list[str]) -> str:
    """The end of an error message about an unknown word: the nearest valid one, or all there are."""
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(words)}"


def load(kind: str, name: str) -> Any:
    """What `name` stands for.

    Raises OntogenyError with the nearest valid name if there is none, and for one that two packages give, or one and we, or that
    does not load.
    """
    places = sorted({point.value: point for point in entry_points(group=f"ontogeny.{kind}", name=name)}.items())
    given = " and ".join(value for value, _ in places)
    if name in TABLES[kind]:
        if places:
            raise OntogenyError(
                f"the {kind} {name!r} is ontogeny's own and {given} has its name; rename that, or uninstall its package"
            )
        module, attribute = TABLES[kind][name].split(":")
        return getattr(import_module(module), attribute)
    if len(places) > 1:
        raise OntogenyError(f"two packages have the {kind} {name!r}: {given}; uninstall one")
    for value, point in places:
        try:
            return point.load()
        except Exception as error:  # whatever the package's own code raises
            raise OntogenyError(f"the {kind} {name!r} does not load from {value} ({type(error).__name__}: {error})") from error
    raise OntogenyError(f"no {kind} is called {name!r}; {nearest(name, names(kind))}")
