"""Draw the sweeps as SVG that reads on light and on dark pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INK = "#7d8590"
"""A grey with contrast above 3.7 to white and to a dark page alike; the ground is transparent."""

STYLES = {
    "ter_fast": {"color": "#d55e00", "marker": "o", "linestyle": "-", "linewidth": 2.0},
    "compiled": {"color": "#3b8fc4", "marker": "s", "linestyle": "--", "linewidth": 1.5},
    "copy": {"color": INK, "marker": "", "linestyle": ":", "linewidth": 1.5},
}
"""Vermilion and blue of the palette of Okabe and Ito, and a marker and dashes for those who see none."""

LABELS = {"ter_fast": "ter_fast", "compiled": "torch.compile", "copy": "copy of the bytes"}
SIZES = {"B": "samples B", "V": "views V", "K": "classes K"}


def draw(sweeps: list[dict[str, Any]], folder: Path, name: str) -> list[tuple[str, str]]:
    """Draw a figure for each size and device: titles and file names.

    Args:
        sweeps: What `scaling.py` wrote.
        folder: Where the figures go.
        name: Prefix of their names.
    """
    import matplotlib as mpl

    mpl.use("agg")
    drawn = []
    for device in dict.fromkeys(sweep["device"] for sweep in sweeps):
        for size, label in SIZES.items():
            chosen = [s for s in sweeps if s["size"] == size and s["device"] == device]
            if not chosen:
                continue
            place = "" if device == "cpu" else f"-{device}"
            file = f"{name}{place}-{label.split()[0]}.svg"
            _figure(chosen, label, folder / file)
            drawn.append((f"Time against {label}{place and f' on {device}'}", file))
    return drawn


def _figure(sweeps: list[dict[str, Any]], label: str, path: Path) -> None:
    from matplotlib import pyplot, rc_context

    # Ids from the content, so that the same figures give the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ter_fast", "font.size": 9}):
        width = 3.4 * len(sweeps) + 0.4
        figure, axes = pyplot.subplots(
            1, len(sweeps), figsize=(width, 3.2), squeeze=False, layout="constrained"
        )
        for sweep, axis in zip(sweeps, axes[0], strict=True):
            _axis(sweep, label, axis)
        axes[0][0].set_ylabel("seconds a call", color=INK)
        axes[0][0].legend(frameon=False, labelcolor=INK)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    # Matplotlib leaves blanks at the ends of lines.
    path.write_text(
        "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()) + "\n",
        encoding="utf-8",
    )


def _axis(sweep: dict[str, Any], label: str, axis: Any) -> None:
    for row, style in STYLES.items():
        points = [p for p in sweep["points"] if row in p["seconds"]]
        values = [p["value"] for p in points]
        axis.plot(
            values, [p["seconds"][row] for p in points], label=LABELS[row], markersize=4, **style
        )
    axis.set(xscale="log", yscale="log")
    axis.set_title(sweep["title"], color=INK, fontsize=9)
    axis.set_xlabel(label, color=INK)
    if max(p["value"] for p in sweep["points"]) <= 16:  # a decade has no ticks of its own here
        ticks = [p["value"] for p in sweep["points"]]
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    axis.tick_params(which="both", colors=INK)
    axis.grid(color=INK, alpha=0.25, linewidth=0.5)
    for side, spine in axis.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))
