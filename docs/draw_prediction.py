"""Draws the picture in the README: what `ter-fast predict` prints of drawn clips, as SVG.

python docs/draw_prediction.py docs/predict.svg
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import tempfile
import wave
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

import ter_fast
from ter_fast.cli.prediction_table import PredictionTable

EXAMPLES = Path(__file__).parents[1] / "examples"


def main(out: str) -> None:
    """Draw the clips, predict them with the default model, and write the table as SVG."""
    target = Path(out).resolve()
    model = ter_fast.Model.from_pretrained("default")
    console = Console(record=True, width=88, file=io.StringIO())
    # Names without a folder leave the table room.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        console.print(PredictionTable(model.predict(draw_files()), model.config))
    target.write_text(console.export_svg(title="ter-fast predict"), encoding="utf-8")


def draw_files() -> list[str]:
    """Make a clip whose face and voice agree, one in which they do not, and what lacks one of them."""
    demo = runpy.run_path(str(EXAMPLES / "make_demo_clip.py"))
    face, voice = demo["happy_face"](), demo["happy_voice"]()
    demo["write"](Path("demo.mp4"))
    demo["write"](Path("sad_voice.mp4"), "happy", "sad")
    cv2.imwrite("face.png", demo["draw"](0.4, face, voice.pace)[..., ::-1])
    with wave.open("voice.wav", "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(demo["SOUND_RATE"])
        sound.writeframes((demo["speak"](voice) * 32767).astype(np.int16).tobytes())
    Path("broken.mp4").write_text("no film")
    return ["demo.mp4", "sad_voice.mp4", "face.png", "voice.wav", "broken.mp4"]


if __name__ == "__main__":
    main(*sys.argv[1:])
