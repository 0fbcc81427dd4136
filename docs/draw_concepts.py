"""Draws the pictures of docs/concepts.md, once for light pages and once for dark ones.

python docs/draw_concepts.py docs/concepts
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

import ter_fast

INK = {"light": "#1f2a30", "dark": "#e3e8ea"}
PAPER = {"light": "#ffffff", "dark": "#1f2129"}
# Okabe and Ito's, which people with any colour vision can tell apart.
CALM, ANGRY, ACCENT = "#009e73", "#e69f00", "#cc79a7"
GREY = "#78838a"
QUIET = {INK["light"]: "#5f6a71", INK["dark"]: "#a3adb3"}  # for text that stays behind
WORDS = {INK["light"]: ("#00775a", "#a35f00"), INK["dark"]: ("#22c79a", ANGRY)}  # for text

POINTS = {  # name: (evidence for calm and angry, where its name goes)
    "ignorant": ((0.0, 0.0), (0.07, 0.0)),
    "a hint of angry": ((0.3, 1.4), (0.24, 0.02)),
    "torn": ((9.0, 9.0), (0.07, 0.03)),
    "surely calm": ((30.0, 0.6), (0.08, 0.02)),
}
CASES = {
    "they agree": ((6.0, 1.0), (5.0, 1.0)),
    "the face knows nothing": ((6.0, 1.0), (0.0, 0.0)),
    "they disagree": ((8.0, 0.0), (0.0, 5.0)),
}


def corner(opinion: ter_fast.Opinion) -> tuple[float, float]:
    """Return where an opinion over two classes lies in the triangle."""
    calm, angry = opinion.belief.tolist()
    vacuity = float(opinion.uncertainty)
    return angry - calm, vacuity * np.sqrt(3)


def triangle(ax: Axes, ink: str) -> None:
    """Draw the opinion triangle of two classes, with four opinions in it."""
    top = np.sqrt(3)
    calm, angry = WORDS[ink]
    ax.add_patch(Polygon([(-1, 0), (1, 0), (0, top)], fill=False, edgecolor=ink, linewidth=1.8))
    for level in (0.25, 0.5, 0.75):
        half = 1 - level
        ax.plot([-half, half], [level * top] * 2, color=GREY, linewidth=0.7, alpha=0.6)
        ax.text(
            -half - 0.05, level * top, f"u = {level}", ha="right", va="center", color=QUIET[ink]
        )
    ax.text(0, top + 0.1, "uncertainty 1: nothing is known", ha="center")
    ax.text(-1, -0.12, "certainly\ncalm", ha="center", va="top", color=calm, weight="bold")
    ax.text(1, -0.12, "certainly\nangry", ha="center", va="top", color=angry, weight="bold")
    ax.text(0, -0.12, "probability of angry", ha="center", va="top", color=QUIET[ink])
    for chance in (0.25, 0.5, 0.75):
        ax.plot([2 * chance - 1] * 2, [-0.03, 0.03], color=ink, linewidth=1)
    for name, (evidence, (right, up)) in POINTS.items():
        opinion = ter_fast.Opinion(torch.tensor(evidence))
        x, y = corner(opinion)
        foot = 2 * float(opinion.probability[1]) - 1
        ax.plot([x, foot], [y, 0], ":", color=ACCENT, linewidth=1.6)
        ax.plot(x, y, "o", color=ACCENT, markersize=9, markeredgecolor=ink, zorder=3)
        ax.text(x + right, y + up, name, ha="left", va="center", weight="bold", zorder=4)
    ax.set(xlim=(-1.3, 1.35), ylim=(-0.45, top + 0.25), aspect="equal")
    ax.axis("off")


def fusion(axes: list[Axes], ink: str) -> None:
    """Draw belief and uncertainty of voice, face and both, in three cases."""
    for ax, (title, (voice, face)) in zip(axes, CASES.items(), strict=True):
        views = [torch.tensor([voice]), torch.tensor([face])]
        both = ter_fast.fuse(views)
        shown = {
            "voice": ter_fast.Opinion(views[0]),
            "face": ter_fast.Opinion(views[1]),
            "both": both,
        }
        for row, opinion in enumerate(shown.values()):
            calm, angry = opinion.belief[0].tolist()
            vacuity = float(opinion.uncertainty[0])
            left = 0.0
            for width, colour, pattern in (
                (calm, CALM, ""),
                (vacuity, "none", "///"),
                (angry, ANGRY, ""),
            ):
                ax.add_patch(
                    Rectangle(
                        (left, -row - 0.36), width, 0.72, facecolor=colour, hatch=pattern,
                        edgecolor=GREY if pattern else ink, linewidth=0.8,
                    )
                )  # fmt: skip
                if width > 0.13:
                    box = {
                        "facecolor": mpl.rcParams["axes.facecolor"],
                        "edgecolor": "none",
                        "pad": 1.5,
                    }
                    ax.text(
                        left + width / 2, -row, f"{width:.2f}", ha="center", va="center",
                        color=ink if pattern else "#10181c", bbox=box if pattern else None,
                    )  # fmt: skip
                left += width
        ax.set(xlim=(0, 1), ylim=(-2.45, 0.45), xticks=[], yticks=[0, -1, -2])
        ax.set_yticklabels(shown)
        ax.set_title(
            f"{title} (disagreement {float(both.disagreement[0]):.2f})", loc="left", fontsize=13
        )
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)


def key(ax: Axes) -> None:
    """Name the parts of the bars, below them."""
    for x, colour, pattern, name in (
        (0.0, CALM, "", "belief in calm"),
        (0.36, "none", "///", "uncertainty"),
        (0.67, ANGRY, "", "belief in angry"),
    ):
        ax.add_patch(
            Rectangle(
                (x, 0), 0.05, 1, facecolor=colour, hatch=pattern, edgecolor=GREY, linewidth=0.8
            )
        )
        ax.text(x + 0.07, 0.5, name, va="center")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")


def trusted(ax: Axes, ink: str) -> None:
    """Draw the region of trust, with right and wrong predictions of a made-up model."""
    draw = np.random.default_rng(4)
    confidence = draw.beta(2.4, 1.5, 90)
    disagreement = draw.beta(1.2, 3, 90)
    right = draw.random(90) < (1 - disagreement**2) / (1 + np.exp(9 * (0.52 - confidence)))
    threshold, limit = 0.6, 0.45
    ax.add_patch(
        Rectangle((0, threshold), limit, 1 - threshold, facecolor=CALM, alpha=0.22, linewidth=0)
    )
    ax.axhline(threshold, color=ink, linewidth=1.2, linestyle="--")
    ax.plot([limit, limit], [threshold, 1], color=ink, linewidth=1.2, linestyle="--")
    ax.scatter(disagreement[right], confidence[right], s=26, color=CALM, label="right")
    ax.scatter(
        disagreement[~right], confidence[~right], s=34, color=ANGRY, marker="x", label="wrong"
    )
    ax.text(0.012, 1.025, "trusted", weight="bold", va="bottom")
    ax.text(limit + 0.015, 1.025, "they disagree too much", va="bottom", weight="bold")
    ax.text(0.985, threshold - 0.025, "threshold", ha="right", va="top")
    ax.text(0.985, 0.03, "not sure enough", ha="right", weight="bold")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="disagreement of the modalities", ylabel="confidence")
    ax.legend(loc="lower center", ncols=2, frameon=False, bbox_to_anchor=(0.5, -0.3))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def main(folder: str) -> None:
    """Draw every picture into the folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for mode, ink in INK.items():
        style = {
            "svg.hashsalt": "ter_fast", "font.size": 14, "hatch.color": GREY, "hatch.linewidth": 0.8,
            "axes.facecolor": PAPER[mode], "figure.facecolor": PAPER[mode],
            **dict.fromkeys(
                ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink
            ),
        }  # fmt: skip
        with mpl.rc_context(style):
            figure, ax = plt.subplots(figsize=(6.4, 5.2))
            triangle(ax, ink)
            save(figure, f"{folder}/triangle-{mode}.svg")
            figure, axes = plt.subplots(
                4, 1, figsize=(6.4, 7.6), height_ratios=[3, 3, 3, 0.5], gridspec_kw={"hspace": 0.5}
            )
            fusion(list(axes[:3]), ink)
            key(axes[3])
            save(figure, f"{folder}/fusion-{mode}.svg")
            figure, ax = plt.subplots(figsize=(6.4, 4.8))
            trusted(ax, ink)
            save(figure, f"{folder}/trusted-{mode}.svg")


def save(figure: plt.Figure, path: str) -> None:
    """Write a figure whose bytes depend on nothing but what is drawn."""
    figure.savefig(path, bbox_inches="tight", pad_inches=0.12, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
