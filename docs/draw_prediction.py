"""Draws the picture in the README: what `ter-fast predict` prints, as SVG.

python docs/draw_prediction.py docs/predict.svg clip.mp4 clip.wav …
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console

import ter_fast
from ter_fast.cli.prediction_table import PredictionTable


def main(out: str, *paths: str) -> None:
    """Predict the files with the default model and write the table as SVG."""
    model = ter_fast.Model.from_pretrained("default")
    console = Console(record=True, width=88, file=io.StringIO())
    console.print(PredictionTable(model.predict(list(paths)), model.config))
    Path(out).write_text(console.export_svg(title="ter-fast predict"), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
