"""What BabyLM's pipeline (2026) wants of a submission, written from its description alone: nothing of ontogeny is imported.

python tests/commands/babylm_checker.py all_full_preds_and_fast_scores_BACKEND.json evaluation_data [strict-small]
"""

import json
import math
import sys
from pathlib import Path

SENTENCES = ["blimp", "blimp_supplement", "ewok", "entity_tracking_filtered"]
PIQA = ["global_piqa_parallel", "global_piqa_nonparallel"]
KEYS = [*SENTENCES, "comps", *PIQA, "reading", "aoa_surprisals", "aoa", "glue", "fast_eval_results"]
FAST = [*SENTENCES, *PIQA, "reading"]
WHERE = {
    "blimp": ("blimp", "blimp_filtered"),
    "blimp_supplement": ("blimp", "supplement_filtered"),
    "ewok": ("ewok", "ewok_filtered"),
    "entity_tracking_filtered": ("entity_tracking", "entity_tracking"),
    "comps": ("comps", "comps"),
}
FAST_FOLDERS = {
    "blimp": "blimp_fast",
    "blimp_supplement": "supplement_fast",
    "ewok": "ewok_fast",
    "entity_tracking_filtered": "entity_tracking_fast",
}
ROW = ["step", "word_count", "target_word", "context_id", "context", "surprisal"]


def steps(track):
    up_to = 100 if track == "strict-small" else 1000
    every = list(range(1, 10)) + list(range(10, 100, 10)) + list(range(100, 1001, 100))
    return [f"chck_{n}M" for n in every if n <= up_to]


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def check(collated, data, track="strict-small"):
    """Complaints, and the accuracy of what is there; a task that is null is no complaint."""
    whole, wrong, scores = json.loads(collated.read_text(encoding="utf-8")), [], {}
    if list(whole) != KEYS:
        wrong.append(f"keys are {list(whole)}")
    for key, (task, dataset) in WHERE.items():
        if whole.get(key) is None:
            continue
        beside = collated.parent / "main" / "zero_shot" / collated.stem.rpartition("_")[2] / task / dataset / "predictions.json"
        if not beside.exists() or json.loads(beside.read_text(encoding="utf-8")) != whole[key]:
            wrong.append(f"{key}: {beside} is not what was collated")
        wrong += pairs(whole[key], data / "full_eval" / dataset, key, scores)
    for row in (whole.get("reading") or {}).get("reading", {}).get("predictions", []):
        if sorted(row) != ["id", "pred", "prev_pred"] or not isinstance(row["pred"], float):
            wrong.append(f"reading: {row}")
    wrong += aoa(whole.get("aoa_surprisals"), data / "full_eval" / "cdi_childes" / "cdi_childes.json", track)
    wrong += fast(whole.get("fast_eval_results"), data / "fast_eval", track)
    return wrong, scores


def pairs(found, folder, key, scores):
    wrong, right = [], []
    data = answers(key, folder)
    if sorted(found) != sorted(data):
        wrong.append(f"{key}: {len(found)} paradigms, the data has {len(data)}")
    for uid in sorted(set(found) & set(data)):
        given = found[uid]["predictions"]
        if len(given) != len(data[uid]):
            wrong.append(f"{key}: {uid} has {len(given)} predictions, the data has {len(data[uid])}")
        for number, (one, row) in enumerate(zip(given, data[uid], strict=False)):
            if one["id"] != f"{uid}_{number}":
                wrong.append(f"{key}: {one['id']} stands in the place of {uid}_{number}")
            if one["pred"].strip() not in row:
                wrong.append(f"{key}: {one['id']}: {one['pred']!r} is no answer")
        right.append(sum(one["pred"].strip() == row[0] for one, row in zip(given, data[uid], strict=False)) / len(data[uid]))
    scores[key] = sum(right) / max(1, len(right))
    return wrong


def answers(key, folder):
    """By uid what may be answered to each item, the right one first."""
    found = {}
    for file in sorted(folder.glob("*.jsonl")):
        for row in lines(file):
            if key.startswith("blimp"):
                uid, own = file.stem, [row["sentence_good"], row["sentence_bad"]]
            elif key == "ewok":
                uid, own = row["Domain"], [" ".join([row[context], row["Target1"]]) for context in ("Context1", "Context2")]
            elif key == "comps":
                uid = {"comps_base": "base", "comps_wugs": "wugs", "comps_wugs_dist-before": "wugs_dist_before"}.get(
                    file.stem, "wugs_dist_in_between"
                )
                own = [" ".join([row[side], row["property_phrase"]]) for side in ("prefix_acceptable", "prefix_unacceptable")]
            elif any("nothing" in option for option in row["options"]):
                continue
            else:
                uid, own = f"{file.stem}_{row['numops']}_ops", row["options"]
            found.setdefault(uid, []).append([text.strip() for text in own])
    return found


def aoa(found, file, track):
    if found is None:
        return []
    words = json.loads(file.read_text(encoding="utf-8"))
    wanted = [(word, i, c["context"]) for word, contexts in words.items() if len(word) > 1 for i, c in enumerate(contexts)]
    wrong = [] if {row["step"] for row in found["results"]} <= set(steps(track)) else ["aoa: a step that is no revision"]
    for step in dict.fromkeys(row["step"] for row in found["results"]):
        rows = [row for row in found["results"] if row["step"] == step]
        if [(row["target_word"], row["context_id"], row["context"]) for row in rows] != wanted:
            wrong.append(f"aoa: {step} has {len(rows)} rows, the data {len(wanted)}, or they are in another order")
        bad = [row for row in rows if list(row) != ROW or not math.isfinite(row["surprisal"]) or row["surprisal"] <= 0]
        wrong += [f"aoa: {bad[0]}"] if bad else []
    return wrong


def fast(found, folder, track):
    wrong = [] if list(found) == FAST else [f"fast_eval_results: keys are {list(found)}"]
    for key, revisions in found.items():
        if len(revisions) != len(steps(track)):
            wrong.append(f"fast_eval_results: {key} has {len(revisions)} revisions, {len(steps(track))} are wanted")
        for shares in filter(None, revisions):
            if key != "reading" and sorted(shares) != sorted(answers(key, folder / FAST_FOLDERS[key])):
                wrong.append(f"fast_eval_results: {key} has other paradigms than the data")
            if not all(0 <= share <= 1 for share in shares.values()):
                wrong.append(f"fast_eval_results: {key} has a share outside 0 and 1")
    return wrong


if __name__ == "__main__":
    complaints, accuracy = check(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
    print(*complaints or ["nothing is wrong"], sep="\n")
    print(accuracy)
