"""Figures with intervals from the answers that `run` kept: every row over its folds and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.experiments.answers import TRUST
from benchmarks.experiments.plan import Experiment, Plan, Row
from benchmarks.experiments.pooled import (
    Kept,
    Pooled,
    by_seed,
    check_folds,
    pool,
    pool_ensembles,
    some,
)
from benchmarks.experiments.run import Unit, is_done, units
from ter_fast.trust.metrics import Bootstrap, Replicates

RESAMPLES = 1000
COMPARED = ("accuracy", "uar", "aurc", "failure_auroc", "trusted_precision", "trusted_f1")
"""Figures whose differences to the reference are given."""
LEAST = 20
"""Clips of a group from which it has figures of its own."""

Line = dict[str, Any]


def summarize(plan: Plan, work: Path) -> Iterator[Line]:
    """Yield every line of figures that the kept answers give, finished or not.

    Lines have "table" (main, failure, corruption, ood or group), "experiment", "row" and
    "figures": by name a value and the ends of its 95 % interval, resampled by group.

    Args:
        plan: What was done.
        work: Folder of models and answers.

    Raises:
        DataError: Answers are damaged, or were made with other settings.
    """
    found: dict[tuple[str, str], list[Unit]] = {}
    for unit in units(plan, work):
        if is_done(plan, unit):
            found.setdefault((unit.experiment.name, unit.row.name), []).append(unit)
    for experiment in plan.experiments.values():
        against = None
        if first := found.get((experiment.name, plan.reference)):
            against = pool("test", "", [Kept.read(unit) for unit in first])
        for row in plan.rows_of(experiment):
            own = found.get((experiment.name, row.name), [])
            if own:
                yield from _row(experiment, row, own, against)


def _row(
    experiment: Experiment, row: Row, own: Sequence[Unit], against: Pooled | None
) -> Iterator[Line]:
    kept = [Kept.read(unit) for unit in own]
    check_folds(row.name, kept)
    seconds = float(np.mean([each.seconds for each in kept]))
    for method in kept[0].thresholds:
        name = f"{row.name}, {method}" if method else row.name
        common = {"experiment": experiment.name, "row": name}
        about = {
            "seeds": len({each.seed for each in kept}), "folds": len({each.fold for each in kept}),
            "seconds": round(seconds, 1), "terms": kept[0].terms,
        }  # fmt: skip
        yield from _method(
            experiment, common, about, against, partial(pool, method=method, parts=kept)
        )
    whole = by_seed(kept) if row.ensemble else {}
    if whole:
        count = len(next(iter(whole.values())))
        common = {"experiment": experiment.name, "row": f"{row.name}, ensemble of {count}"}
        about = {
            "seeds": 1,
            "folds": len(whole),
            "seconds": round(count * seconds, 1),
            "terms": kept[0].terms,
        }
        yield from _method(experiment, common, about, None, partial(pool_ensembles, whole=whole))


def _method(
    experiment: Experiment,
    common: Line,
    about: Line,
    against: Pooled | None,
    pooled: Callable[[str], Pooled | None],
) -> Iterator[Line]:
    test = pooled("test")
    assert test is not None
    draws = Bootstrap(len(test.target), test.group, resamples=RESAMPLES)
    figures = main_figures(test, draws)
    yield {
        "table": "main", **common, **about,
        "clips": test.clips, "groups": draws.n_groups,
        "figures": _rounded(figures), "differences": _differences(test, figures, against, draws),
    }  # fmt: skip
    kinds = {
        kind: draws.trust(values, test.correct)
        for kind, values in test.scores.items()
        if kind != TRUST
    }
    yield {
        "table": "failure", **common,
        "figures": {
            kind: _rounded({name: found[name] for name in ("aurc", "failure_auroc")})
            for kind, found in kinds.items()
        },
    }  # fmt: skip
    for name in experiment.corruptions:
        for severity in experiment.severities:
            if (noisy := pooled(f"{name}-{severity}")) is not None:
                yield {
                    "table": "corruption", **common, "corruption": name, "severity": severity,
                    "clips": noisy.clips,
                    "figures": _rounded(trust_figures(noisy)),
                }  # fmt: skip
    if experiment.corruptions and (clean := pooled("clean")) is not None:
        yield {
            "table": "corruption", **common, "corruption": "", "severity": 0,
            "clips": clean.clips, "figures": _rounded(trust_figures(clean)),
        }  # fmt: skip
    for name in experiment.ood:
        if (ood := pooled(f"ood {name}")) is not None:
            yield {"table": "ood", **common, "ood": name, **_ood_figures(test, ood)}
    for name, values in test.by.items():
        for value in sorted(set(values.tolist()) - {""}):
            rows = values == value
            if rows.sum() >= LEAST:
                yield {
                    "table": "group", **common, "attribute": name, "value": value,
                    "clips": some(test, rows).clips,
                    "figures": _rounded(trust_figures(some(test, rows))),
                }  # fmt: skip


def main_figures(test: Pooled, draws: Bootstrap) -> dict[str, Replicates]:
    """Return every figure of a method; thresholds are each fold's own."""
    found = draws.figures(
        test.prediction, test.target, test.probability, test.scores[TRUST],
        correct=test.correct, coverages=(0.8,),
    )  # fmt: skip
    # Thresholds differ by fold, so what is held against one here is the decision itself.
    decided = draws.trust(test.trusted.astype(np.float64), test.correct, 0.5)
    names = (
        "trusted_precision",
        "trusted_recall",
        "trusted_f1",
        "trusted_accuracy",
        "coverage",
        "lift",
    )
    return {**found, **{name: decided[name] for name in names}}


def _differences(
    test: Pooled, figures: Mapping[str, Replicates], against: Pooled | None, draws: Bootstrap
) -> dict[str, list[float | None]]:
    """Return figures minus the reference's, resampled in pairs, where it answered the same clips."""
    if against is None or not np.array_equal(test.path, against.path):
        return {}
    other = main_figures(against, draws)
    return _rounded({name: figures[name] - other[name] for name in COMPARED})


def trust_figures(answers: Pooled) -> dict[str, Replicates]:
    """Return accuracy, AURC, coverage and trusted precision of answers."""
    draws = Bootstrap(len(answers.target), answers.group, resamples=RESAMPLES // 4)
    found = draws.means(accuracy=answers.correct)
    found["aurc"] = draws.trust(answers.scores[TRUST], answers.correct)["aurc"]
    decided = draws.trust(answers.trusted.astype(np.float64), answers.correct, 0.5)
    return {**found, **{name: decided[name] for name in ("coverage", "trusted_precision")}}


def _ood_figures(known: Pooled, ood: Pooled) -> Line:
    """Return how many out-of-distribution clips are trusted, and how well each score tells them from test clips."""
    names = np.concatenate([known.group, np.char.add("ood ", ood.group)])
    draws = Bootstrap(len(names), names, resamples=RESAMPLES // 4)
    own = np.arange(len(names)) < len(known.group)
    scores = {}
    for kind, values in known.scores.items():
        if kind != TRUST:
            found = draws.trust(np.concatenate([values, ood.scores[kind]]), own)
            scores[kind] = _rounded({"auroc": found["failure_auroc"], "fpr95": found["fpr95"]})
    there = Bootstrap(len(ood.group), ood.group, resamples=RESAMPLES // 4)
    figures = _rounded(there.means(trusted=ood.trusted))
    return {"clips": ood.clips, "figures": figures, "scores": scores}


def _rounded(found: Mapping[str, Replicates]) -> dict[str, list[float | None]]:
    """Return values with the ends of their intervals, None where there is no number."""
    return {
        name: [
            round(float(value), 4) if np.isfinite(value) else None
            for value in (each.value, *each.interval())
        ]
        for name, each in found.items()
    }
