"""The same sums as minicons (Misra 2022), which people of the field use, given the same BOS."""

import pytest
import tiny
import torch

from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring import plan
from ontogeny.scoring.reading import open_model
from ontogeny.store import RunFolder
from ontogeny.suites.blimp import BLiMP
from ontogeny.suites.micro_english import MicroEnglishPairs
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.tokens.trained import BPE

scorer = pytest.importorskip("minicons.scorer", reason="minicons is not installed: pip install 'ontogeny[peers]'")


def assert_agree(model, tokenizer, pairs):
    ours = of_pairs.score(model, plan.make(pairs, tokenizer, tokenizer.bos_token_id, 64), torch.device("cpu"))
    peer = scorer.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    for side in ("good", "bad"):
        texts = [getattr(pair, side) for pair in pairs]
        theirs = peer.sequence_score(texts, reduction=lambda token_scores: token_scores.sum(0).item(), bos_token=True)
        assert ours[f"logp_{side}"].to_list() == pytest.approx(theirs, abs=1e-4)
    assert ours["logp_good"].n_unique() > len(pairs) / 2  # a model with opinions


@pytest.mark.parametrize("step", [0, 24])
def test_micro_english(finished_run, step):
    folder = RunFolder(finished_run).checkpoint(0, step)
    suite = [pair for pair in MicroEnglishPairs(pairs_per_paradigm=20).pairs() if pair.good != pair.bad]
    chosen = sorted({pair.paradigm for pair in suite})[::7][:3]
    pairs = [pair for pair in suite if pair.paradigm in chosen]
    assert len(pairs) == 60
    assert_agree(open_model(folder), open_tokenizer(folder), pairs)


@pytest.mark.real
def test_blimp(real_data):
    wanted = ("wh_vs_that_with_gap", "principle_A_case_1", "existential_there_quantifiers_2")
    suite = list(BLiMP(path=real_data / "suites" / "blimp", paradigms=wanted).pairs())
    pairs = [pair for name in wanted for pair in [p for p in suite if p.paradigm == name][:50]]
    tokenizer = BPE(vocab_size=1000).make(tiny.documents(*(pair.good for pair in suite)))
    assert_agree(tiny.opt(len(tokenizer), context=64), tokenizer, pairs)
