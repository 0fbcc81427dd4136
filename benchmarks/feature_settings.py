"""Choose the input noise of each set of feature_sets.yaml by cross-validation: the lowest log-loss.

Only training samples of one draw take part, which is none of the page's, with one network a view.
    python -m benchmarks.feature_settings $TER_FAST_DATA/multiview [SET ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit

from benchmarks.comparison import load_views, split
from ter_fast import TrustedClassifier

DRAW = 0
STEPS = 1000
NOISE = (0.1, 0.3, 0.5)


def main() -> None:
    torch.set_num_threads(1)
    config = yaml.safe_load(Path(__file__).with_name("feature_sets.yaml").read_text())
    for name, file in config["sets"].items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        drawn = split(load_views(Path(sys.argv[1]) / file), DRAW)
        widths = tuple(view.shape[1] for view in drawn.train)
        settings = {k: v for k, v in config["settings"].items() if k != "input_noise"}
        batches = -(-len(drawn.train_labels) * 3 // 4 // settings["batch_size"])
        search = GridSearchCV(
            TrustedClassifier(widths, random_state=0, **settings),
            {"input_noise": NOISE, "epochs": [round(STEPS / batches)]},
            scoring=("accuracy", "neg_log_loss"),
            refit=False,
            cv=StratifiedShuffleSplit(3, test_size=0.25, random_state=0),
        )
        found = search.fit(np.concatenate(drawn.train, 1), drawn.train_labels).cv_results_
        for row, chosen in enumerate(found["params"]):
            accuracy = found["mean_test_accuracy"][row]
            loss = -found["mean_test_neg_log_loss"][row]
            print(
                f"{name}  {chosen}  accuracy {100 * accuracy:.2f} %  log-loss {loss:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
