"""The torchmetrics classes where they are used: in a Lightning loop, and over two processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from ter_fast import metrics
from ter_fast.trust.thresholds import BinnedSweep, sweep

CLASSES = 3
EPOCHS = 2
WORKERS = 2


def collection() -> MetricCollection:
    """Return one of each kind of state: counts, lists, a histogram, sums."""
    every: dict[str, Metric] = {
        "f1": metrics.TrustedF1(0.5),
        "strict": metrics.TrustedPrecision(0.8),
        "aurc": metrics.AURC(),
        "fpr95": metrics.FPR95(),
        "binned": metrics.AURC(bins=64),
        "brier": metrics.BrierScore(),
        "nll": metrics.NegativeLogLikelihood(),
        "mass": metrics.EqualMassCalibrationError(bins=5),
        "classwise": metrics.ClasswiseCalibrationError(CLASSES, bins=5),
    }
    return MetricCollection(every)


def functions(probability: Tensor, target: Tensor) -> dict[str, float]:
    exact = sweep(probability.amax(1), probability.argmax(1) == target)
    binned = BinnedSweep(64)
    binned.update(probability.amax(1), probability.argmax(1) == target)
    return {
        "f1": exact.at(0.5).f1,
        "strict": exact.at(0.8).precision,
        "aurc": exact.aurc,
        "fpr95": exact.fpr95,
        "binned": binned.aurc,
        "brier": metrics.brier(probability, target),
        "nll": metrics.negative_log_likelihood(probability, target),
        "mass": metrics.expected_calibration_error(probability, target, 5, "mass"),
        "classwise": metrics.classwise_calibration_error(probability, target, 5),
    }


def test_a_lightning_loop_logs_each_epoch_alone(tmp_path: Path) -> None:
    import lightning

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(64, 4, generator=generator)
    labels = (features[:, :CLASSES] + torch.randn(64, CLASSES, generator=generator)).argmax(1)
    data = torch.utils.data.TensorDataset(features, labels)
    seen: list[list[Tensor]] = []
    logged: list[dict[str, float]] = []

    class Tiny(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, CLASSES)
            self.trust = collection()
            self.training_f1 = metrics.TrustedF1(0.5)
            self.accuracy = MulticlassAccuracy(CLASSES, average="micro")

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            logits = self.layer(batch[0])
            self.training_f1(logits.softmax(1), batch[1])
            self.log("training_f1", self.training_f1, on_step=True, on_epoch=True)
            return torch.nn.functional.cross_entropy(logits, batch[1])

        def on_validation_epoch_start(self) -> None:
            seen.append([])

        def validation_step(self, batch: list[Tensor], _: int) -> None:
            probability = self.layer(batch[0]).softmax(1)
            seen[-1].append(probability)
            self.trust.update(probability, batch[1])
            self.accuracy(probability, batch[1])
            self.log("accuracy", self.accuracy)
            self.log_dict(self.trust)

        def on_train_epoch_end(self) -> None:
            logged.append(
                {name: float(value) for name, value in self.trainer.logged_metrics.items()}
            )

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        model = Tiny()
        trainer.fit(
            model,
            torch.utils.data.DataLoader(data, batch_size=16),
            torch.utils.data.DataLoader(data, batch_size=20),
        )
    assert len(seen) == len(logged) == EPOCHS
    for probabilities, values in zip(seen, logged, strict=True):
        probability = torch.cat(probabilities)
        for name, expected in functions(probability, labels).items():
            assert values[name] == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert values["accuracy"] == pytest.approx(
            metrics.accuracy(probability.argmax(1), labels), rel=1e-6
        )
    assert logged[0]["nll"] != logged[1]["nll"]
    assert not any(metric.update_called for metric in model.trust.values())


def shard(rank: int) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of one process, of unequal numbers, sizes and dtypes."""
    generator = torch.Generator().manual_seed(rank)
    sizes, dtype = ([7, 30], torch.float32) if rank == 0 else ([11], torch.float64)
    found = []
    for size in sizes:
        probability = torch.softmax(2 * torch.randn(size, CLASSES, generator=generator), 1)
        probability[::3] = torch.tensor([0.5, 0.25, 0.25])
        target = torch.randint(CLASSES, (size,), generator=generator)
        found.append((probability.to(dtype), target))
    return found


def work(rank: int, folder: Path) -> None:
    """Measure this process's shard together with the others; write what came out."""
    torch.distributed.init_process_group(
        "gloo", init_method=(folder / "store").as_uri(), rank=rank, world_size=WORKERS
    )
    values: dict[str, Any] = {}
    for case, ranks in (("all", range(WORKERS)), ("one idle", [1])):
        together = collection()
        if rank in ranks:
            for batch in shard(rank):
                together.update(*batch)
        else:
            # Lightning's last batch may leave a process without any.
            warnings.simplefilter("ignore")
        values[case] = {name: float(value) for name, value in together.compute().items()}
        alone = together["aurc"]
        values[case]["samples after"] = sum(each.numel() for each in alone.confidence)
    (folder / f"{rank}.json").write_text(json.dumps(values), encoding="utf-8")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_measure_as_one(tmp_path: Path) -> None:
    code = f"import {Path(__file__).stem} as test, pathlib, sys\n" + (
        "test.work(int(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(WORKERS)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    for case, ranks in (("all", range(WORKERS)), ("one idle", [1])):
        everything = [batch for rank in ranks for batch in shard(rank)]
        probability = torch.cat([preds.double() for preds, _ in everything])
        target = torch.cat([labels for _, labels in everything])
        for rank in range(WORKERS):
            values = json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8"))[case]
            own = sum(len(labels) for _, labels in shard(rank)) if rank in ranks else 0
            assert values.pop("samples after") == own
            for name, expected in functions(probability, target).items():
                assert not math.isnan(expected)
                assert values.pop(name) == pytest.approx(expected, rel=1e-5, abs=1e-6)
            assert not values
