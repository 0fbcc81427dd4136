"""Draws the picture of docs/architecture.md from the imports of `ter_fast`, for light and for dark pages.

The layers are those of the contract in pyproject.toml that `lint-imports` checks. Draw the picture again
when a test says that it is out of date:

python docs/draw_architecture.py docs/architecture
"""

from __future__ import annotations

import ast
import math
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PACKAGE = "ter_fast"

HOLDS = {  # package: (what is in it, which of the types that flow through the package it makes)
    "__main__": ("python -m ter_fast", ""),
    "cli": ("the command ter-fast: parse, call, print", ""),
    "model": ("Model, the facade over everything below", ""),
    "multiview": ("TrustedClassifier: scikit-learn, feature views", ""),
    "evaluate": ("results, reports, robustness", "Evaluation"),
    "train": ("fitting, calibration, risk control, recipes", ""),
    "predict": ("sources, windows, live streams, timelines", "Prediction"),
    "experts": ("networks, encoders, configuration, saving", "logits"),
    "data": ("datasets, corpora, manifests, splits, shards", ""),
    "media": ("decoding, faces, features, corruptions", "Clip → Batch"),
    "trust": ("thresholds, metrics, calibration of arrays", ""),
    "opinions": ("fusion, decisions, losses; the kernels", "evidence → Opinion"),
    "errors": ("every error that a user can cause", ""),
}

COLOURS = {
    "light": {
        "paper": "#ffffff", "ink": "#1f2a30", "quiet": "#5f6a71", "line": "#c3cace", "box": "#eef3f3",
        "accent": "#00695c", "heat": "#26a69a", "on_heat": "#0b1f1c",
    },
    "dark": {
        "paper": "#1f2129", "ink": "#e3e8ea", "quiet": "#a3adb3", "line": "#4a525b", "box": "#2a2f38",
        "accent": "#4db6ac", "heat": "#26a69a", "on_heat": "#ffffff",
    },
}  # fmt: skip
SANS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

MARGIN, ARROW, BOX, CELL, ROW, GAP, HEAD = 10, 30, 350, 36, 42, 7, 124


def layers(pyproject: Path) -> list[list[str]]:
    """Return the layers of the contract, from the top; packages in one layer are independent."""
    contracts = tomllib.loads(pyproject.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    contract = next(contract for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def modules(folder: Path) -> dict[str, Path]:
    """Return the file of every module below a package's folder, by its full name."""
    files = {}
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


def imported(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield the known modules that a file imports, late and type-checking imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import name`: the name is a module of the package, or stands in it.
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in full]
        else:
            continue
        yield from (name for name in names if name in known)


def package_of(module: str) -> str:
    """Return the part of the package that a module belongs to; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def counts(files: Mapping[str, Path]) -> Counter[tuple[str, str]]:
    """Count, for every two packages, the pairs of modules of which the first imports the second."""
    pairs = {
        (module, other)
        for module, file in files.items()
        for other in imported(ast.parse(file.read_bytes()), files)
    }
    between = Counter((package_of(one), package_of(other)) for one, other in pairs)
    return Counter({pair: count for pair, count in between.items() if all(pair)})


class Picture:
    """An SVG under construction."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        self.colours = colours
        self.parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, **style: object) -> None:
        """Draw a rectangle with round corners."""
        drawn = {"rx": 5, **style}
        attributes = " ".join(
            f'{name.replace("_", "-")}="{value}"' for name, value in drawn.items()
        )
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" {attributes}/>')

    def text(
        self, x: float, y: float, content: object, colour: str = "ink", **style: object
    ) -> None:
        """Write a line of text in one of the colours."""
        drawn = {"font_size": 13, "fill": self.colours[colour], **style}
        attributes = " ".join(
            f'{name.replace("_", "-")}="{value}"' for name, value in drawn.items()
        )
        self.parts.append(f'<text x="{x}" y="{y}" {attributes}>{escape(str(content))}</text>')

    def arrow(self, x: float, top: float, bottom: float) -> None:
        """Draw an arrow that points down."""
        line = f'stroke="{self.colours["quiet"]}" stroke-width="1.5" fill="none"'
        self.parts.append(
            f'<path d="M{x} {top}V{bottom}m-5 -8l5 8l5 -8" {line}/>'
        )  # fmt: skip

    def svg(self, width: float, height: float, title: str) -> str:
        """Return the whole picture."""
        self.parts.insert(
            0, f'<rect width="{width}" height="{height}" fill="{self.colours["paper"]}"/>'
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'role="img" font-family="{SANS}"><title>{escape(title)}</title>'
        )
        return "\n".join([head, *self.parts, "</svg>", ""])


def heights(rows: Iterable[Sequence[str]]) -> dict[str, int]:
    """Return where the row of each package begins; packages of one layer touch."""
    places, y = {}, HEAD
    for layer in rows:
        for name in layer:
            places[name] = y
            y += ROW
        y += GAP
    return places


def draw(
    rows: Sequence[Sequence[str]], files: Mapping[str, Path], colours: Mapping[str, str]
) -> str:
    """Return the picture: packages by layer, and how often each imports each below it."""
    places = heights(rows)
    names = list(places)
    left, table = MARGIN + ARROW, MARGIN + ARROW + BOX + 12
    columns = {name: table + CELL * index for index, name in enumerate(names)}
    width, height = table + CELL * len(names) + 44, places[names[-1]] + ROW + MARGIN
    picture = Picture(colours)
    heading(picture, columns)
    picture.arrow(MARGIN + 16, HEAD, height - MARGIN)
    middle = (HEAD + height) / 2
    picture.text(
        MARGIN + 8, middle, "imports point down", "quiet", text_anchor="middle",
        transform=f"rotate(-90 {MARGIN + 8} {middle})",
    )  # fmt: skip
    for layer in rows:
        picture.box(
            left, places[layer[0]], BOX, ROW * len(layer),
            fill=colours["box"], stroke=colours["line"],
        )  # fmt: skip
    for name, y in places.items():
        describe(picture, name, left, y)
    grid(picture, columns, places, files)
    return picture.svg(width, height, "The layers of ter_fast and the imports between them")


def heading(picture: Picture, columns: Mapping[str, float]) -> None:
    """Name the columns, and say what the table shows."""
    left = MARGIN + ARROW
    picture.text(left, 30, "Layers of ter_fast", font_size=20, font_weight=700)
    for line, (colour, content) in enumerate(
        (
            ("quiet", "A package imports only from layers below its own."),
            ("quiet", "Filled: pairs of modules, row imports column."),
            ("quiet", "Outlined: modules in the package."),
            ("accent", "Green: the data types, where they are made."),
        )
    ):
        picture.text(left, 52 + 20 * line, content, colour, font_size=14)
    for name, x in columns.items():
        middle = x + CELL / 2
        picture.text(
            middle, HEAD - 8, name, "quiet", font_size=13, font_family=MONO,
            transform=f"rotate(-50 {middle} {HEAD - 8})",
        )  # fmt: skip


def describe(picture: Picture, name: str, x: float, y: float) -> None:
    """Write a package's name, what it holds, and what it makes."""
    holds, makes = HOLDS[name]
    picture.text(x + 10, y + 18, name, font_size=15, font_weight=700, font_family=MONO)
    picture.text(x + 10, y + 35, holds, "quiet", font_size=14)
    if makes:
        end = x + BOX - 10
        picture.text(end, y + 18, makes, "accent", font_size=14, font_weight=700, text_anchor="end")


def grid(
    picture: Picture,
    columns: Mapping[str, float],
    places: Mapping[str, float],
    files: Mapping[str, Path],
) -> None:
    """Fill the table: the more imports, the stronger the colour."""
    sizes, between = Counter(map(package_of, files)), counts(files)
    most = math.log1p(max(count for (one, other), count in between.items() if one != other))
    for name, y in places.items():
        for other, x in columns.items():
            cell = (x + 1, y + 1, CELL - 2, ROW - 2)
            at = (x + CELL / 2, y + ROW / 2 + 5)
            count = between[name, other]
            if name == other:
                picture.box(*cell, fill="none", stroke=picture.colours["line"])
                picture.text(*at, sizes[name], "quiet", text_anchor="middle")
            elif count:
                strength = round(0.15 + 0.75 * math.log1p(count) / most, 2)
                picture.box(*cell, fill=picture.colours["heat"], fill_opacity=strength)
                picture.text(*at, count, "on_heat", text_anchor="middle")
            elif places[other] > y:
                picture.text(*at, "·", "quiet", text_anchor="middle")


def pictures() -> dict[str, str]:
    """Return both pictures by the name of their file."""
    rows, files = layers(ROOT / "pyproject.toml"), modules(ROOT / PACKAGE)
    # The short names of three packages hold nothing of their own.
    short = {"losses", "metrics", "thresholds"}
    rows = [[name for name in row if name not in short] for row in rows]
    files = {name: file for name, file in files.items() if package_of(name) not in short}
    return {f"layers-{mode}.svg": draw(rows, files, colours) for mode, colours in COLOURS.items()}


def main(folder: str) -> None:
    """Draw both pictures into the folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, svg in pictures().items():
        Path(folder, name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
