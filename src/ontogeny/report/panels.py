"""The list of figures: of a suite, of its n-grams, of each paradigm, of the training, and those of the run's instruments.

The page, `run.figure`, the files beside the page and the words under each figure go by this list alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import altair as alt
import polars as pl

from ontogeny import registry
from ontogeny.instruments import WITH_EVIDENCE
from ontogeny.pages.axes import known, last_step, seeded
from ontogeny.pages.orders import at_token_level, orders_key
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, chart, lacks
from ontogeny.pages.templates import anchor
from ontogeny.pages.theme import config
from ontogeny.records import OntogenyError
from ontogeny.report import accuracy, foretelling, inside, likelihood, training
from ontogeny.report import ladder as ladders
from ontogeny.report import ngram_sentences as say
from ontogeny.report.ngram_accuracy import ngram_accuracy
from ontogeny.report.paradigm_map import accuracy_map
from ontogeny.results import Results
from ontogeny.store import RunFolder

# mean accuracy over BLiMP's paradigms: Warstadt et al. 2020, table 3
PUBLISHED = {"blimp": {"5-gram": 0.612, "LSTM": 0.698, "GPT-2 large": 0.830, "human": 0.886}}
SMALL = 150  # pixels, the height of a paradigm's figures


def panels_of(results: Results) -> list[Panel]:
    """Every figure that a run can have, in the order of the page."""
    read = [*results.instruments(), *results.unread()]
    there = {one.name for one in read}
    listed = [registry.load("instrument", name)() for name in WITH_EVIDENCE if name not in there]
    found = {panel.name: panel for panel in (*BUILT_IN, *inside.PANELS)}
    for instrument in (*read, *listed):
        with results.leaving_out(instrument.name):
            own = {panel.name: panel for panel in instrument.panels()}
            if twice := next((name for name in own if name in found), None):
                raise OntogenyError(f"its figure {twice!r} has the name of another; INSTRUMENT.FIGURE is a name of its own")
            found |= own
    return list(found.values())


def figure(
    run: RunFolder, name: str = "map", *, suite: str | None = None, paradigm: str | None = None, **options: Any
) -> alt.Chart:
    """A figure of a run by its name, for a notebook: map, overall, likelihoods, training, ladder ..., or an instrument's.

    `suite`: the run's first, if left out.  `options` go to the figure's own function (width, height ...).
    Raises OntogenyError for unknown names and for what the run does not have.
    """
    results = Results(run)
    panels = {panel.name: panel for panel in panels_of(results)}
    if (panel := panels.get(name)) is None:
        raise OntogenyError(f"no figure is called {name!r}; {registry.nearest(name, list(panels))}")
    if panel.per == "run":
        return _drawn(results, panel, results.frames(panel), options)
    suite = _chosen("suite", suite, results.suites)
    if panel.per == "paradigm":
        known_here = results.curves.filter(pl.col("suite") == suite)["paradigm"].unique(maintain_order=True).to_list()
        if paradigm is None:
            raise OntogenyError(f"the figure {name!r} is of one paradigm: say which, as in paradigm={known_here[0]!r}")
        paradigm = _chosen("paradigm", paradigm, known_here)
    return _drawn(results, panel, results.frames(panel, suite, paradigm), options)


def _drawn(results: Results, panel: Panel, frames: Frames, options: dict[str, Any]) -> alt.Chart:
    if said := results.why_empty(lacks(panel, frames) or ""):
        raise OntogenyError(said)
    drawn = chart(panel, frames, results.clock, **options)
    drawn.config = config()  # the page's colours and type: charts name ranges alone
    return drawn


def _chosen(what: str, name: str | None, known: list[str]) -> str:
    if not known:
        raise OntogenyError("nothing has been scored and judged in this run yet: there is nothing to draw")
    if name is not None and name not in known:
        raise OntogenyError(f"no {what} is called {name!r}; {registry.nearest(name, sorted(known))}")
    return known[0] if name is None else name


# --- how each is drawn from frames --------------------------------------------------------------------------------


def _several(frames: Frames) -> bool:
    return seeded(frames["curves"])["seed"].n_unique() > 1


def _map(frames: Frames, clock: Clock, linked: bool = False, **options: Any) -> Drawn:
    suite = frames["curves"]["suite"][0]
    options |= {"links": lambda paradigm: f"#{anchor(suite, paradigm)}"} if linked else {}  # to its pairs, further down the page
    return accuracy_map(frames["curves"], frames.get("verdicts"), clock.spans, **options)


def _map_says(frames: Frames, clock: Clock) -> str:
    mean = ", mean over seeds" if _several(frames) else ""
    return (
        f"Accuracy of each paradigm (rows) at each checkpoint (columns){mean}. Blue: the good sentence is preferred more often "
        "than not; orange: the bad one. Grey: the model still counts as untrained, and no verdict looks at it. "
        "On the page a cell leads to its paradigm's curves and pairs."
    )


def _published(frames: Frames) -> dict[str, float]:
    return PUBLISHED.get(frames["curves"]["suite"][0], {})


def _overall(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    return accuracy.overall_accuracy(frames["curves"], clock.spans, _published(frames), **options)


def _overall_says(frames: Frames, clock: Clock) -> str:
    seeds = "; thin lines are single seeds" if _several(frames) else ""
    said = f"Accuracy over training, mean over paradigms and over phenomena{seeds}. The dashed line at .5 is chance."
    figures = ", ".join(f"{name} {value:.3f}" for name, value in _published(frames).items())
    return f"{said} Published for comparison (Warstadt et al. 2020): {figures}." if figures else said


def _trajectory(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    his = frames["verdicts"]["hi"].to_list() if "verdicts" in frames and "hi" in frames["verdicts"].columns else []
    band = (1 - his[0], his[0]) if his and his[0] is not None and his[0] <= 1 else None
    curve = with_bigrams(frames["curves"], frames.get("ngram_curves"))
    return accuracy.trajectory(curve, clock.spans, band, **{"last": clock.last, **options})


def with_bigrams(curves: pl.DataFrame, ngram_curves: pl.DataFrame | None) -> pl.DataFrame:
    """The curves with `accuracy_bigram`, what a bigram model has learned by the same step, where that is known."""
    if ngram_curves is None:
        return curves
    bigrams = at_token_level(ngram_curves).filter(order=2)
    means = bigrams.group_by("paradigm", "step").agg(pl.col("accuracy").mean().alias("accuracy_bigram"))
    return curves.join(means.with_columns(pl.col("step").cast(curves.schema["step"])), on=["paradigm", "step"], how="left")


def _likelihood(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    return likelihood.likelihood(frames["curves"], clock.spans, **{"last": clock.last, **options})


def _has_likelihoods(frames: Frames) -> bool:
    return known(frames["curves"], "logp_good", "logp_bad")


def _over_training(frames: Frames) -> bool:
    return frames["curves"]["step"].n_unique() > 1


def _training(frames: Frames, clock: Clock, *, width: int | str = 640, **options: Any) -> Drawn:
    losses, dev = frames.get("losses"), frames.get("dev")
    if losses is None and dev is None:
        raise OntogenyError(
            "this run has neither losses of its training nor a dev loss: ontogeny train makes the ones, ontogeny score the other"
        )
    drawn = {"loss": training.loss_curve(losses, dev, clock.entropy, clock.spans, width=width, **options)}
    if losses is not None and known(losses, "learning_rate"):
        drawn["learning rate"] = training.rate_curve(losses, clock.spans, width=width)
    return drawn


def _training_says(frames: Frames, clock: Clock) -> str:
    rate = ", and the learning rate" if "losses" in frames and known(frames["losses"], "learning_rate") else ""
    said = f"Loss on the training text and on held-out text{rate}, over log steps."
    if clock.entropy is None:
        return said
    return (
        f"{said} The dashed line is the unigram entropy of the training text ({clock.entropy:.2f} nats per token): until the dev "
        "loss falls below it the model counts as untrained."
    )


def _bigrams(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    drawn = foretelling.outcomes(frames)
    if drawn is None:
        raise OntogenyError(
            "this run has no table margins, which the figure 'bigrams' is drawn from; ontogeny evidence RUN makes it"
        )
    if drawn.is_empty():
        raise OntogenyError("the tables of margins and of curves have no paradigm in common; ontogeny evidence RUN makes them anew")
    return foretelling.bigrams(drawn, foretelling.counts_of(frames, drawn), **options)


def _bigrams_say(frames: Frames, clock: Clock) -> str:
    drawn = foretelling.outcomes(frames)
    assert drawn is not None
    half = ", in more than half of the seeds" if _several(frames) else ""
    said = say.bigrams_say(foretelling.counts_of(frames, drawn), foretelling.two_by_two(frames))
    return (
        f"{said} Each dot is a paradigm in the colour of its verdict. Below the horizontal line the mean over seeds is wrong; "
        f"“ends wrong” counts the paradigms that are so late in training{half}."
    )


def _has_outcomes(frames: Frames) -> bool:
    drawn = foretelling.outcomes(frames)
    return drawn is not None and not drawn.is_empty()


def _foretold(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    asked = frames["foretold"].drop_nulls("auc")["question"].to_list()
    if not asked:
        raise OntogenyError("nothing could be foretold: see the table foretold for how many paradigms end wrong")
    return {
        title: foretelling.foretold(frames["foretold"], question, **options)
        for question, title in foretelling.QUESTIONS.items()
        if question in asked
    }


def _foretold_says(frames: Frames, clock: Clock) -> str:
    said = say.foretold_says(frames["foretold"])
    return (
        f"How well each predictor tells the paradigms apart, with its interval. {said} The scale is the area under the ROC curve: "
        "how often, shown one paradigm of each kind, the predictor picks the right one (.5 is a guess). "
        "Each phenomenon is foretold from the others. Pale: undecided."
    )


def _ladder(frames: Frames, clock: Clock, *, width: int | str = 260, **options: Any) -> Drawn:
    last = last_step(frames["ladder"])
    return {
        f"correlation {title}": ladders.agreement(
            frames["ladder"], by, clock.spans, **{"width": width, "last": last, "legend": True, **options}
        )
        for by, title in ladders.PANELS.items()
        if len(ladders.whole(at_token_level(frames["ladder"]), by))
    }


def _ladder_says(frames: Frames, clock: Clock) -> str:
    thin = "; thin lines are seeds" if frames["ladder"]["seed"].n_unique() > 1 else ""
    said = say.ladder_says(frames["ladder"], clock.spans)
    return (
        "The ladder: whose preferences the network shares. A correlation of 1 means that its margins rise and fall with the n-gram "
        f"model's, 0 that the two have nothing to do with each other. {said} Dots mark where each line is at its best once the "
        f"model counts as trained{thin}."
    )


def _rungs(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    verdicts = frames.get("verdicts")
    return ladders.rung_map(frames["ladder"], frames.get("rungs"), frames["curves"], verdicts, clock.spans, **options)


def _rungs_say(frames: Frames, clock: Clock) -> str:
    said = say.rungs_say(frames["ladder"], frames.get("rungs"))
    left = " A diamond marks the checkpoint from which on a paradigm has left that rung." if "rungs" in frames else ""
    return (
        "Which n-gram model each paradigm's margins follow most at each checkpoint; the paler, the less they follow any. "
        f"{said}{left}"
    )


def _follows(frames: Frames) -> bool:
    """False where pairs are too few for any correlation."""
    return not frames["ladder"].filter(pl.col("paradigm") != "", pl.col("r").is_not_null()).is_empty()


def _ngrams(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    return ngram_accuracy(frames["ngram_curves"], frames["curves"], clock.spans, **options)


def _ngrams_say(frames: Frames, clock: Clock) -> str:
    return (
        "The n-gram models' own learning, from counts of the text that the network had seen by each step. "
        f"{say.ngrams_say(frames['ngram_curves'], frames['curves'])} The dashed line at .5 is chance."
    )


def _matched_says(frames: Frames, clock: Clock) -> str:
    return (
        "Pairs of one paradigm against each other: those whose bigrams favour the good sentence minus those whose bigrams favour "
        f"the bad one, alike in unigrams and length. {say.matched_says(frames['matched'])} Pale: not significant after correction "
        "for the number of paradigms (Benjamini-Hochberg)."
    )


_of_suite = partial(Panel, per="suite", chapter="suite", needs=("curves",))
_of_ngrams = partial(Panel, per="suite", chapter="n-grams", command="evidence RUN")
_of_paradigm = partial(Panel, per="paradigm", chapter="paradigm", needs=("curves",), shape="small", files=())

BUILT_IN = (
    _of_suite(
        name="map",
        title="accuracy of each paradigm at each checkpoint; the same numbers are in the table of verdicts and the figures below",
        takes=("verdicts",),
        draw=_map,
        says=_map_says,
        shape="map",
        narrow=True,
        page={"linked": True},
        files=("svg", "png"),
    ),
    _of_suite(name="overall", title="overall accuracy over training", draw=_overall, says=_overall_says, there=_over_training),
    _of_suite(
        name="likelihoods",
        title="mean log-likelihood of good and bad sentences of every paradigm",
        draw=lambda frames, clock, **options: likelihood.likelihoods(frames["curves"], **options),
        there=_has_likelihoods,
        chapter="",  # the page has each paradigm's own
    ),
    _of_ngrams(
        name="bigrams",
        title="bigrams and outcomes: accuracy of the network at the end against that of the bigram model, a dot a paradigm",
        needs=("curves",),
        takes=("margins", "ngram_curves", "verdicts", "tables"),
        draw=_bigrams,
        says=_bigrams_say,
        there=_has_outcomes,
        shape="tall",
        narrow=True,
        half=True,
    ),
    _of_ngrams(
        name="foretold",
        title="what foretells the end",
        needs=("foretold",),
        takes=("contests",),
        draw=_foretold,
        says=_foretold_says,
        there=lambda frames: not frames["foretold"]["auc"].is_null().all(),
        table=foretelling.contests_table,
        narrow=True,
        half=True,
    ),
    _of_ngrams(
        name="ladder",
        title="the ladder",
        needs=("ladder",),
        draw=_ladder,
        says=_ladder_says,
        key=orders_key("ladder"),
        page={"legend": False},
    ),
    _of_ngrams(
        name="rungs",
        title="the rungs that paradigms leave: which order of n-gram model each follows most at each checkpoint",
        needs=("ladder", "curves"),
        takes=("rungs", "verdicts"),
        draw=_rungs,
        says=_rungs_say,
        there=_follows,
        shape="map",
        narrow=True,
    ),
    _of_ngrams(
        name="ngrams",
        title="the n-gram models' own learning, beside the network's",
        needs=("ngram_curves", "curves"),
        draw=_ngrams,
        says=_ngrams_say,
        key=orders_key("ngram_curves", network=True),
        page={"legend": False},
    ),
    _of_ngrams(
        name="matched",
        title="matched pairs: accuracy where the bigrams favour the good sentence, minus accuracy where they do not",
        needs=("matched",),
        draw=lambda frames, clock, **options: foretelling.matched(frames["matched"], **options),
        says=_matched_says,
        there=lambda frames: not frames["matched"].drop_nulls("difference").is_empty(),
        shape="map",
        narrow=True,
    ),
    _of_paradigm(
        name="likelihood",
        title="mean log-likelihood of good and bad sentences over training",
        draw=_likelihood,
        there=_has_likelihoods,
        page={"height": SMALL, "legend": False},
    ),
    _of_paradigm(
        name="trajectory",
        title="accuracy over training",
        takes=("verdicts", "ngram_curves"),
        draw=_trajectory,
        page={"height": SMALL},
    ),
    Panel(
        name="training",
        title="loss and learning rate over training",
        takes=("losses", "dev"),
        draw=_training,
        says=_training_says,
        there=lambda frames: bool(frames),
        chapter="training",
        shape="stack",
    ),
    Panel(
        name="health",
        title="how the optimiser did",
        needs=("health",),
        draw=lambda frames, clock, **options: training.health(frames["health"], clock.spans, **options),
        says=lambda frames, clock: training.health_says(frames["health"]),
        chapter="training",
        command="train with training.health: 50",
    ),
)
