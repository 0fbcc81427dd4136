"""Draws a talking face and synthesizes its voice: a clip to try the package on.

    python examples/make_demo_clip.py [OUT]

Nothing is recorded: the face is shaded ellipses, the voice a harmonic series with vibrato, shaped
by the formants of the vowels that the mouth shows. It smiles, so that there is something to find.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 320, 240
FRAME_RATE = 25
SECONDS = 4.0
SOUND_RATE = 44_100

# (first, second, third formant in Hz, how far the mouth opens)
VOWELS = {
    "a": (800.0, 1200.0, 2500.0, 1.0),
    "e": (480.0, 1900.0, 2600.0, 0.55),
    "i": (300.0, 2250.0, 3000.0, 0.25),
    "o": (500.0, 900.0, 2400.0, 0.75),
}
SYLLABLES = "aieoaeiaeo"

Canvas = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]


def vowel_at(time: float) -> tuple[tuple[float, float, float, float], float]:
    """Return the vowel spoken at a time in seconds and its loudness in [0, 1]."""
    position = time / SECONDS * len(SYLLABLES)
    index = min(int(position), len(SYLLABLES) - 1)
    loudness = np.sin(np.pi * (position - index)) ** 0.6 if 0 <= position < len(SYLLABLES) else 0.0
    return VOWELS[SYLLABLES[index]], float(loudness)


class Sketch:
    """A canvas in units of the picture's height, (0, 0) in its middle, y downwards."""

    def __init__(self) -> None:
        rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self.x = (columns + 0.5 - WIDTH / 2) / HEIGHT
        self.y = (rows + 0.5 - HEIGHT / 2) / HEIGHT
        self.canvas: Canvas = np.zeros((HEIGHT, WIDTH, 3), np.float32)

    def ellipse(self, x: float, y: float, width: float, height: float, soft: float = 0.03) -> Mask:
        """Return an ellipse with half-axes `width` and `height` as a mask, its edge `soft` wide."""
        radius = np.sqrt(((self.x - x) / width) ** 2 + ((self.y - y) / height) ** 2)
        return np.clip((1 - radius) / soft + 0.5, 0, 1)

    def glow(self, x: float, y: float, width: float, height: float) -> Mask:
        """Return a bell-shaped spot."""
        return np.asarray(np.exp(-(((self.x - x) / width) ** 2) - ((self.y - y) / height) ** 2))

    def paint(self, mask: Mask, colour: tuple[float, float, float], strength: float = 1.0) -> None:
        """Lay a colour, RGB in [0, 255], over the canvas where the mask is."""
        where = np.flatnonzero(mask.max(axis=1) > 0.002)
        if where.size:
            rows = slice(where[0], where[-1] + 1)
            cover = (mask[rows] * strength)[..., None].astype(np.float32)
            self.canvas[rows] += (np.array(colour, np.float32) - self.canvas[rows]) * cover

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return the canvas at the size of the clip, (HEIGHT, WIDTH, 3) uint8."""
        return np.clip(np.rint(self.canvas), 0, 255).astype(np.uint8)


def draw(time: float) -> npt.NDArray[np.uint8]:
    """Draw the picture of a time in seconds."""
    (_, _, _, openness), loudness = vowel_at(time)
    mouth = openness * loudness
    smile = 0.4 + 0.6 * min(1.0, time / 1.5)
    x = float(0.02 * np.sin(2 * np.pi * 0.35 * time))
    y = float(0.012 * np.sin(2 * np.pi * 0.8 * time))
    blink = np.exp(-(((time % 1.7) - 1.2) ** 2) / 0.003)
    sketch = Sketch()
    sketch.paint(np.ones_like(sketch.x), (96, 122, 142))
    sketch.paint(sketch.glow(-0.35, -0.3, 0.5, 0.5), (168, 186, 196), 0.8)
    draw_head(sketch, x, y)
    for side in (-1.0, 1.0):
        draw_eye(sketch, x + 0.108 * side, y - 0.055, side, float(blink), smile)
    draw_nose(sketch, x, y)
    draw_mouth(sketch, x, y + 0.165, mouth, smile)
    return sketch.picture()


def draw_head(sketch: Sketch, x: float, y: float) -> None:
    """Draw shoulders, neck, hair and the shaded skin."""
    sketch.paint(sketch.ellipse(0.0, 0.62, 0.48, 0.24), (52, 62, 92))
    sketch.paint(sketch.ellipse(x * 0.6, 0.33, 0.115, 0.17), (186, 134, 108))
    sketch.paint(sketch.glow(x * 0.7, 0.27 + y, 0.13, 0.05), (112, 74, 58), 0.6)
    sketch.paint(sketch.ellipse(x, y - 0.1, 0.275, 0.31), (46, 32, 26))
    for side in (-1.0, 1.0):
        sketch.paint(sketch.ellipse(x + 0.238 * side, y + 0.01, 0.032, 0.065), (198, 144, 118))
    face = sketch.ellipse(x, y - 0.03, 0.232, 0.25)
    jaw = sketch.ellipse(x, y + 0.09, 0.2, 0.205)
    skin = np.maximum(face, jaw)
    fringe = np.clip((sketch.y - (y - 0.2 + 1.2 * (sketch.x - x) ** 2)) / 0.012, 0, 1)
    skin = skin * fringe
    sketch.paint(skin, (218, 166, 138))
    sketch.paint(skin * sketch.glow(x - 0.06, y - 0.12, 0.14, 0.09), (242, 200, 174), 0.7)
    sketch.paint(skin * np.clip((sketch.x - x - 0.06) / 0.25, 0, 1), (150, 98, 78), 0.55)
    sketch.paint(skin * sketch.glow(x, y + 0.31, 0.18, 0.06), (140, 92, 72), 0.5)
    for side in (-1.0, 1.0):
        cheek = sketch.glow(x + 0.125 * side, y + 0.075, 0.055, 0.045)
        sketch.paint(skin * cheek, (226, 142, 122), 0.5)


def draw_eye(sketch: Sketch, x: float, y: float, side: float, blink: float, smile: float) -> None:
    """Draw an eye in its socket, with lid and brow."""
    sketch.paint(sketch.glow(x, y - 0.005, 0.07, 0.042), (142, 94, 76), 0.55)
    tall = 0.024 * (1 - 0.92 * blink) * (1 - 0.18 * smile)
    eye = sketch.ellipse(x, y, 0.05, tall, 0.12)
    sketch.paint(eye, (236, 232, 228))
    sketch.paint(eye * sketch.ellipse(x, y, 0.023, 0.023, 0.1), (76, 52, 38))
    sketch.paint(eye * sketch.ellipse(x, y, 0.011, 0.011, 0.2), (12, 10, 10))
    sketch.paint(eye * sketch.ellipse(x - 0.008, y - 0.008, 0.005, 0.005, 0.4), (250, 250, 250))
    across = (sketch.x - x) / 0.055
    inside = np.clip((1 - np.abs(across)) / 0.2, 0, 1)
    lid = y - tall * np.sqrt(np.clip(1 - across**2, 0, 1))
    sketch.paint(inside * np.exp(-(((sketch.y - lid) / 0.006) ** 2)), (52, 32, 26), 0.9)
    crease = lid - 0.016
    sketch.paint(inside * np.exp(-(((sketch.y - crease) / 0.005) ** 2)), (150, 100, 82), 0.6)
    brow = y - 0.066 - 0.012 * smile + 0.016 * across**2 + 0.004 * across * side
    thick = 0.011 - 0.004 * across * side
    sketch.paint(inside * np.exp(-(((sketch.y - brow) / thick) ** 2)), (54, 36, 28), 0.9)


def draw_nose(sketch: Sketch, x: float, y: float) -> None:
    """Draw the light along the bridge, the shade beside it and the nostrils."""
    sketch.paint(sketch.glow(x - 0.004, y + 0.01, 0.016, 0.08), (244, 204, 180), 0.6)
    sketch.paint(sketch.glow(x + 0.03, y + 0.03, 0.016, 0.07), (158, 106, 86), 0.5)
    sketch.paint(sketch.glow(x, y + 0.075, 0.032, 0.022), (232, 176, 150), 0.8)
    sketch.paint(sketch.glow(x, y + 0.1, 0.042, 0.01), (146, 92, 74), 0.7)
    for side in (-1.0, 1.0):
        sketch.paint(sketch.glow(x + 0.02 * side, y + 0.092, 0.011, 0.007), (74, 42, 36), 0.9)
        fold = sketch.glow(x + 0.078 * side, y + 0.115, 0.014, 0.045)
        sketch.paint(fold, (160, 106, 86), 0.45)


def draw_mouth(sketch: Sketch, x: float, y: float, opening: float, smile: float) -> None:
    """Draw lips around an opening in [0, 1], their corners raised by `smile` in [0, 1]."""
    half = 0.076 + 0.018 * smile - 0.012 * opening
    across = np.clip((sketch.x - x) / half, -1.2, 1.2)
    inside = np.clip((1 - np.abs(across)) / 0.08, 0, 1)
    arch = np.clip(1 - across**2, 0, 1)
    line = y + 0.03 * smile * (0.4 - across**2)
    gap = 0.034 * opening + 0.006 * smile
    top, bottom = line - 0.35 * gap * arch, line + gap * arch
    upper, lower = top - 0.014 * arch, bottom + 0.021 * arch

    def between(first: Mask, last: Mask) -> Mask:
        return np.clip((sketch.y - first) / 0.005 + 0.5, 0, 1) * np.clip(
            (last - sketch.y) / 0.005 + 0.5, 0, 1
        )

    sketch.paint(inside * between(upper, lower), (184, 92, 88))
    sketch.paint(inside * between(top, bottom), (62, 22, 24))
    sketch.paint(
        inside * between(top, np.minimum(bottom, top + 0.014)) * (arch > 0.2), (236, 230, 222)
    )
    sketch.paint(sketch.glow(x - 0.01, float(y + gap + 0.024), 0.03, 0.007), (214, 132, 124), 0.5)
    sketch.paint(sketch.glow(x, float(y + gap + 0.05), 0.05, 0.012), (158, 106, 86), 0.4)


def speak() -> npt.NDArray[np.float32]:
    """Return the voice, (samples,) float32 in [-1, 1] at SOUND_RATE."""
    time = np.arange(round(SECONDS * SOUND_RATE)) / SOUND_RATE
    melody = 190 * 2 ** (
        0.25 * np.sin(2 * np.pi * 0.6 * time) + 0.1 * np.sin(2 * np.pi * 2.5 * time)
    )
    pitch = melody * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SOUND_RATE
    # Formants change slowly: look them up at 500 Hz, smooth over 40 ms and interpolate.
    ticks = np.arange(0, SECONDS, 0.002)
    moments = [vowel_at(float(t)) for t in ticks]
    window = np.hanning(21) / np.hanning(21).sum()
    tracks = np.array([[*vowel[:3], loudness] for vowel, loudness in moments]).T
    padded = np.pad(tracks, ((0, 0), (10, 10)), mode="edge")
    smooth = [np.interp(time, ticks, np.convolve(row, window, "valid")) for row in padded]
    voice = np.zeros_like(time)
    for harmonic in range(1, 24):
        hertz = harmonic * pitch
        gain = sum(
            weight / (1 + ((hertz - formant) / width) ** 2)
            for formant, width, weight in zip(
                smooth[:3], (90.0, 120.0, 180.0), (1.0, 0.6, 0.3), strict=True
            )
        )
        voice += gain * np.sin(harmonic * phase) / harmonic**0.5
    breath = np.random.default_rng(0).normal(size=time.size) * 0.01
    sound = (voice + breath) * smooth[3]
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def write(path: Path) -> None:
    """Encode the clip as H.264 (MPEG-4 where FFmpeg lacks its encoder) and AAC."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    voice = speak()
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=FRAME_RATE)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
        # One thread, since the cut into slices, and so every byte, depends on their number.
        video.codec_context.thread_count = 1
        for index in range(round(SECONDS * FRAME_RATE)):
            frame = av.VideoFrame.from_ndarray(draw(index / FRAME_RATE), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for first in range(0, len(voice), 1024):
            piece = av.AudioFrame.from_ndarray(
                voice[None, first : first + 1024].copy(), format="fltp", layout="mono"
            )
            piece.sample_rate, piece.pts = SOUND_RATE, first
            piece.time_base = Fraction(1, SOUND_RATE)
            out.mux(audio.encode(piece))
        out.mux(audio.encode(None))


def main() -> None:
    """Write the clip to the path given, or beside this script."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("demo.mp4")
    write(path)
    print(f"{path}: {SECONDS:.0f} s, {WIDTH}x{HEIGHT}, drawn and synthesized")


if __name__ == "__main__":
    main()
