"""Draws a talking face and synthesizes its voice: a clip to try the package on.

    python examples/make_demo_clip.py [OUT] [--face happy] [--voice happy]

Nothing is recorded: the face is shaded ellipses, and the voice is a source of harmonics whose pitch
follows a melody, filtered by the formants of the vowels that the mouth shows. An expression is a few
numbers (`happy_face`, `calm_face`), and so is a way to speak (`happy_voice`, `sad_voice`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Expression:
    """What a face does; all zero is a face at rest.

    Attributes:
        smile: How far the corners of the mouth are raised; negative for lowered.
        stretch: How far the mouth is stretched.
        part: How far the lips are parted while nothing is said.
        squint: How far the eyes are narrowed.
        raised: How far the brows are raised; negative for lowered.
    """

    smile: float = 0.0
    stretch: float = 0.0
    part: float = 0.0
    squint: float = 0.0
    raised: float = 0.0


@dataclass(frozen=True)
class Speech:
    """How something is said.

    Attributes:
        pitch: Middle of the melody in Hz.
        span: How far the melody rises and falls about it, in octaves.
        pace: Syllables a second.
        tilt: How fast harmonics fade: the larger, the duller the voice.
        fall: By how many octaves the pitch falls from the first syllable to the last.
    """

    pitch: float
    span: float
    pace: float
    tilt: float
    fall: float = 0.0


def happy_face() -> Expression:
    """A broad smile with narrowed eyes."""
    return Expression(smile=1.0, stretch=1.0, part=0.5, squint=0.35, raised=0.3)


def calm_face() -> Expression:
    """A face at rest."""
    return Expression(smile=0.1, squint=0.1)


def happy_voice() -> Speech:
    """A high, bright and quick voice with a wide melody."""
    return Speech(pitch=200.0, span=0.3, pace=3.5, tilt=0.3, fall=0.4)


def sad_voice() -> Speech:
    """A low, dull and slow voice with hardly a melody."""
    return Speech(pitch=110.0, span=0.05, pace=1.5, tilt=1.0)


FACES: dict[str, Callable[[], Expression]] = {"happy": happy_face, "calm": calm_face}
VOICES: dict[str, Callable[[], Speech]] = {"happy": happy_voice, "sad": sad_voice}


def vowel_at(time: float, pace: float) -> tuple[tuple[float, float, float, float], float]:
    """Return the vowel spoken at a time in seconds and its loudness in [0, 1]."""
    position = time * pace
    loudness = np.sin(np.pi * (position % 1.0)) ** 0.6 if 0 <= time < SECONDS else 0.0
    return VOWELS[SYLLABLES[int(position) % len(SYLLABLES)]], float(loudness)


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


def draw(time: float, face: Expression, pace: float) -> npt.NDArray[np.uint8]:
    """Draw the picture of a time in seconds."""
    (_, _, _, openness), loudness = vowel_at(time, pace)
    x = float(0.02 * np.sin(2 * np.pi * 0.35 * time))
    y = float(0.012 * np.sin(2 * np.pi * 0.8 * time))
    blink = float(np.exp(-(((time % 1.7) - 1.2) ** 2) / 0.003))
    sketch = Sketch()
    sketch.paint(np.ones_like(sketch.x), (96, 122, 142))
    sketch.paint(sketch.glow(-0.35, -0.3, 0.5, 0.5), (168, 186, 196), 0.8)
    draw_head(sketch, x, y)
    for side in (-1.0, 1.0):
        draw_cheek(sketch, x, y, side, face)
        draw_eye(sketch, x + 0.108 * side, y - 0.055, side, blink, face)
    draw_nose(sketch, x, y)
    draw_mouth(sketch, x, y + 0.165, face.part + 0.6 * (1 - face.part) * openness * loudness, face)
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


def draw_cheek(sketch: Sketch, x: float, y: float, side: float, face: Expression) -> None:
    """Draw a cheek, lifted by a smile, and the fold from the nose to the corner of the mouth."""
    smile = max(0.0, face.smile)
    lift = 0.03 * smile
    cheek = sketch.glow(x + 0.13 * side, y + 0.085 - lift, 0.055, 0.045)
    sketch.paint(cheek, (232, 158, 134), 0.5)
    light = sketch.glow(x + 0.125 * side, y + 0.06 - lift, 0.04, 0.022)
    sketch.paint(light, (250, 208, 184), 0.6 * smile)
    # A bow from the wing of the nose, around the mouth.
    low = (sketch.y - (y + 0.09)) / 0.11
    bow = x + side * (0.055 + (0.03 + 0.035 * smile) * np.sqrt(np.clip(low, 0, 1)))
    fold = np.exp(-(((sketch.x - bow) / 0.008) ** 2)) * np.clip(low / 0.1, 0, 1)
    sketch.paint(fold * np.clip((1 - low) / 0.3, 0, 1), (150, 96, 78), 0.3 + 0.4 * smile)


def draw_eye(
    sketch: Sketch, x: float, y: float, side: float, blink: float, face: Expression
) -> None:
    """Draw an eye in its socket, with lids and brow."""
    sketch.paint(sketch.glow(x, y - 0.005, 0.07, 0.042), (142, 94, 76), 0.55)
    tall = 0.026 * (1 - 0.92 * blink) * (1 - face.squint)
    eye = sketch.ellipse(x, y, 0.05, tall, 0.12)
    sketch.paint(eye, (236, 232, 228))
    sketch.paint(eye * sketch.ellipse(x, y, 0.023, 0.023, 0.1), (76, 52, 38))
    sketch.paint(eye * sketch.ellipse(x, y, 0.011, 0.011, 0.2), (12, 10, 10))
    sketch.paint(eye * sketch.ellipse(x - 0.008, y - 0.008, 0.005, 0.005, 0.4), (250, 250, 250))
    across = (sketch.x - x) / 0.055
    inside = np.clip((1 - np.abs(across)) / 0.2, 0, 1)
    bend = np.sqrt(np.clip(1 - across**2, 0, 1))
    lid = y - tall * bend
    sketch.paint(inside * np.exp(-(((sketch.y - lid) / 0.006) ** 2)), (52, 32, 26), 0.9)
    sketch.paint(inside * np.exp(-(((sketch.y - lid + 0.016) / 0.005) ** 2)), (150, 100, 82), 0.6)
    bag = y + tall * bend + 0.012
    sketch.paint(inside * np.exp(-(((sketch.y - bag) / 0.006) ** 2)), (160, 108, 88), face.squint)
    brow = y - 0.066 - 0.02 * face.raised + 0.016 * across**2
    brow = brow + 0.004 * across * side
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


def draw_mouth(sketch: Sketch, x: float, y: float, opening: float, face: Expression) -> None:
    """Draw lips and teeth around an opening in [0, 1]."""
    half = 0.076 + 0.045 * face.stretch - 0.01 * opening
    across = np.clip((sketch.x - x) / half, -1.2, 1.2)
    inside = np.clip((1 - np.abs(across)) / 0.08, 0, 1)
    arch = np.clip(1 - across**2, 0, 1)
    line = y + 0.045 * face.smile * (0.4 - across**2)
    gap = 0.05 * opening
    top, bottom = line - 0.3 * gap * arch, line + gap * arch
    upper, lower = top - 0.013 * arch, bottom + 0.019 * arch

    def between(first: Mask, last: Mask) -> Mask:
        return np.clip((sketch.y - first) / 0.005 + 0.5, 0, 1) * np.clip(
            (last - sketch.y) / 0.005 + 0.5, 0, 1
        )

    sketch.paint(inside * between(upper, lower), (184, 92, 88))
    sketch.paint(inside * between(top, bottom), (62, 22, 24))
    teeth = np.minimum(bottom, top + 0.012 + 0.016 * max(0.0, face.smile))
    sketch.paint(inside * between(top, teeth) * (arch > 0.12), (240, 236, 230))
    sketch.paint(sketch.glow(x - 0.01, float(y + gap + 0.03), 0.03, 0.007), (214, 132, 124), 0.5)
    sketch.paint(sketch.glow(x, float(y + gap + 0.055), 0.05, 0.012), (158, 106, 86), 0.4)


def speak(voice: Speech) -> npt.NDArray[np.float32]:
    """Return the voice, (samples,) float32 in [-1, 1] at SOUND_RATE."""
    time = np.arange(round(SECONDS * SOUND_RATE)) / SOUND_RATE
    melody = 0.7 * np.sin(2 * np.pi * 0.6 * time) + 0.3 * np.sin(2 * np.pi * voice.pace * time)
    pitch = voice.pitch * 2 ** (voice.span * melody + voice.fall * (0.5 - time / SECONDS))
    pitch *= 1 + 0.012 * np.sin(2 * np.pi * 5.5 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SOUND_RATE
    # Formants change slowly: look them up at 500 Hz, smooth over 40 ms and interpolate.
    ticks = np.arange(0, SECONDS, 0.002)
    moments = [vowel_at(float(t), voice.pace) for t in ticks]
    window = np.hanning(21) / np.hanning(21).sum()
    tracks = np.array([[*vowel[:3], loudness] for vowel, loudness in moments]).T
    padded = np.pad(tracks, ((0, 0), (10, 10)), mode="edge")
    smooth = [np.interp(time, ticks, np.convolve(row, window, "valid")) for row in padded]
    sound = np.zeros_like(time)
    for harmonic in range(1, 24):
        hertz = harmonic * pitch
        gain = sum(
            weight / (1 + ((hertz - formant) / width) ** 2)
            for formant, width, weight in zip(
                smooth[:3], (90.0, 120.0, 180.0), (1.0, 0.6, 0.3), strict=True
            )
        )
        sound += gain * np.sin(harmonic * phase) / harmonic**voice.tilt
    breath = np.random.default_rng(0).normal(size=time.size) * 0.01
    sound = (sound + breath) * smooth[3]
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def write(path: Path, face: str = "happy", voice: str = "happy") -> None:
    """Encode a clip as H.264 (MPEG-4 where FFmpeg lacks its encoder) and AAC."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    expression, speech = FACES[face](), VOICES[voice]()
    sound = speak(speech)
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=FRAME_RATE)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
        # One thread, since the cut into slices, and so every byte, depends on their number.
        video.codec_context.thread_count = 1
        for index in range(round(SECONDS * FRAME_RATE)):
            picture = draw(index / FRAME_RATE, expression, speech.pace)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for first in range(0, len(sound), 1024):
            piece = av.AudioFrame.from_ndarray(
                sound[None, first : first + 1024].copy(), format="fltp", layout="mono"
            )
            piece.sample_rate, piece.pts = SOUND_RATE, first
            piece.time_base = Fraction(1, SOUND_RATE)
            out.mux(audio.encode(piece))
        out.mux(audio.encode(None))


def main() -> None:
    """Write the clip to the path given, or beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).with_name("demo.mp4"))
    parser.add_argument("--face", choices=FACES, default="happy")
    parser.add_argument("--voice", choices=VOICES, default="happy")
    options = parser.parse_args()
    write(options.out, options.face, options.voice)
    print(
        f"{options.out}: {SECONDS:.0f} s, {WIDTH}x{HEIGHT}, drawn with a {options.face} face and "
        f"synthesized with a {options.voice} voice"
    )


if __name__ == "__main__":
    main()
