"""Compare what ravdess_features.yaml had to choose from, on validation actors of seeds that are not the page's.

python -m benchmarks.ravdess_settings $TER_FAST_DATA/ravdess
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.comparison import Protocol, build, grouped_folds, load_grouped
from benchmarks.comparison.methods import ONE_TABLE
from benchmarks.comparison.run import scores

SEEDS = (100, 101)
TRIED: dict[str, list[dict[str, float]]] = {
    "ter_fast": [{"input_noise": noise} for noise in (0.3, 0.6, 1.0)],
    "concatenation": [{"input_noise": noise} for noise in (0.3, 0.6, 1.0)],
    "logistic regression": [{"C": c} for c in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)],
}


def main() -> None:
    torch.set_num_threads(1)
    config = yaml.safe_load(Path(__file__).with_name("ravdess_features.yaml").read_text())
    protocol = Protocol(**config["protocol"])
    data = load_grouped(Path(sys.argv[1]) / config["sets"]["RAVDESS"], protocol)
    assert data.groups is not None
    folds = [(seed, fold) for seed in SEEDS for fold in grouped_folds(data.groups, protocol, seed)]
    for method, choices in TRIED.items():
        for tried in choices:
            common = {} if method == "logistic regression" else config["settings"]
            found = []
            for seed, fold in folds:
                widths = [view.shape[1] for view in data.views]
                model: Any = build(method, widths, seed, {**common, **tried})
                train, held = (
                    np.concatenate(part, 1) if method in ONE_TABLE else part
                    for part in (
                        [view[rows] for view in data.views]
                        for rows in (fold.train, fold.validation)
                    )
                )
                chance = model.fit(train, data.labels[fold.train]).predict_proba(held)
                truth = data.labels[fold.validation]
                found.append(scores(chance, truth, chance.max(1), model.classes_))
            mean = {name: np.mean([each[name] for each in found]) for name in found[0]}
            print(
                f"{method:20} {tried}  accuracy {100 * mean['accuracy']:.1f} %  NLL {mean['nll']:.3f}  "
                f"AURC {1000 * mean['aurc']:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
