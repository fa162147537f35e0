"""Examples as one self-contained page: a table and distributions to filter, sort and look at."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from jrecipe.draw.annotations import Kinds, overlay
from jrecipe.draw.style import MARKS
from jrecipe.draw.text import printable
from jrecipe.explore.examples import Column, Examples
from jrecipe.types import TaskError

LONGEST_TEXT = 2000  # characters of a text, less where many texts would not fit
LONGEST_WORD = 300  # characters of a value of a column, of a name and of a note
LARGEST_SIDE = 256  # pixels of the longer side of a picture, less where many would not fit
_SHEET_SIDE = 512  # pixels; a sheet is decoded as a whole, for a row that is in sight
_LAYERS = 256  # pictures whose annotations are unpacked together
_MEASURED = 512  # examples whose size decides how all of them are kept
_SAFE = 2**53  # whole numbers from here on are no longer exact in a browser


@dataclass(frozen=True)
class Fragment:
    """The parts of a page that shows examples.

    Attributes:
      style: CSS, the text of a style element.
      body: HTML, one section.
      scripts: JavaScript, the text of one `<script type="module">` each, in order, after the body.
      hashes: `'sha256-...'` of each script, for `script-src` of a Content-Security-Policy; the
        page needs `style-src 'unsafe-inline'` besides.
    """

    style: str
    body: str
    scripts: tuple[str, ...]
    hashes: tuple[str, ...]


def render(
    examples: Examples, *, rows: int = 50_000, megabytes: float = 24.0, seed: int = 0
) -> str:
    """Returns the page as HTML, which loads nothing and sends nothing.

    Args:
      examples: what to show.
      rows: at most so many examples; a larger set is sampled uniformly without replacement.
      megabytes: at most so much for pictures and what is marked on them, or for texts, as they are
        written in the page.
      seed: of the sample.

    Raises:
      TaskError: for `rows` or `megabytes` that are not positive, or an `itables` package whose
        table cannot be taken out.
    """
    part = fragment(examples, rows=rows, megabytes=megabytes, seed=seed)
    return _template().render(whole=True, part=part, name=_short(examples.name))


def fragment(
    examples: Examples, *, rows: int = 50_000, megabytes: float = 24.0, seed: int = 0
) -> Fragment:
    """Returns the same as `render` in parts, as a section of another page."""
    if rows < 1 or not megabytes > 0:
        raise TaskError(f"rows and megabytes need to be positive, got {rows} and {megabytes}.")
    held = _held(examples, rows, megabytes * 1e6, np.random.default_rng(seed))
    columns = held.examples.columns
    told = {
        "name": _short(examples.name),
        "count": len(held.examples),
        "all": len(examples),
        "columns": [_coded(column) for column in columns],
        "places": held.examples.places.tolist(),
        "picture": held.picture,
        "marks": held.marks,
        "texts": held.texts,
        "lengths": held.lengths,
    }
    cut = [c.name for c in columns if c.values.dtype.kind not in "biuf" and _any_long(c.values)]
    notes = [_short(note, LONGEST_TEXT) for note in (*examples.notes, *held.notes)]
    notes += [f"Values of {_short(n)} are cut at {LONGEST_WORD} characters." for n in cut]
    body = _template().render(
        whole=False,
        name=told["name"],
        notes=notes,
        told=_json(told),
        sheets=held.sheets,
        layers=held.layers,
    )
    scripts = (_table_script(), _own("explorer.js"))
    return Fragment(
        style=_table_style() + _own("explorer.css") + MARKS,
        body=body,
        scripts=scripts,
        hashes=tuple(_hash(script) for script in scripts),
    )


@dataclass(frozen=True)
class _Held:
    """What the page holds: a sample of the examples, and pictures in sheets or texts."""

    examples: Examples
    notes: tuple[str, ...]
    picture: dict[str, int | str] | None = None
    sheets: tuple[str, ...] = ()
    marks: dict[str, Any] | None = None
    layers: tuple[str, ...] = ()
    texts: list[str] | None = None
    lengths: dict[int, int] | None = None


def _held(examples: Examples, rows: int, budget: float, rng: np.random.Generator) -> _Held:
    drawn = rng.permutation(len(examples))  # its beginnings are samples within one another
    count = min(rows, len(examples))
    first = examples.view(examples.places[drawn[:1]]) if count else []
    hold = _held_pictures if _are_pictures(first) else _held_texts
    return hold(examples, drawn, count, budget)


def _are_pictures(shown: Any) -> bool:
    return isinstance(shown, np.ndarray) and shown.dtype.kind in "fiub" and shown.ndim in (3, 4)


def _sampled(
    examples: Examples, drawn: np.ndarray, count: int, fits: int, budget: float, what: str
) -> tuple[Examples, tuple[str, ...]]:
    """Returns `fits` of the examples in their order, and a sentence if these are not all."""
    if fits >= len(examples):
        return examples, ()
    why = (
        f"more {what} would not fit into {budget / 1e6:g} MB"
        if fits < count
        else f"the page holds at most {count:,}"
    )
    sentence = f"{fits:,} of {len(examples):,} examples are here, drawn at random: {why}."
    return examples.take(np.sort(drawn[:fits])), (sentence,)


# Texts


def _held_texts(examples: Examples, drawn: np.ndarray, count: int, budget: float) -> _Held:
    some = drawn[: min(count, _MEASURED)]
    longest, fits = LONGEST_TEXT, count
    if len(some):
        texts = [printable(str(text)) for text in examples.view(examples.places[some])]
        for longest in (LONGEST_TEXT, 1000, 500, 250):
            each = sum(len(_json(text[:longest]).encode()) + 1 for text in texts) / len(some)
            fits = min(count, int(budget / each))
            if fits == count:
                break
    while True:
        held, notes = _sampled(examples, drawn, count, max(1, fits), budget, "texts")
        texts, lengths = _cut_texts(held, longest)
        size = len(_json(texts).encode())
        if size <= budget or fits <= 1:
            break
        fits = int(fits * budget / size * 0.98)
    if lengths:
        notes += (
            f"{len(lengths):,} {'text is' if len(lengths) == 1 else 'texts are'} cut at "
            f"{longest:,} characters; a search looks at what is left.",
        )
    return _Held(held, notes, texts=texts, lengths=lengths)


def _cut_texts(examples: Examples, longest: int) -> tuple[list[str], dict[int, int]]:
    """Returns the beginnings of the texts, and position -> characters of those that were cut."""
    texts = [printable(str(text)) for text in examples.view(examples.places)]
    lengths = {i: len(text) for i, text in enumerate(texts) if len(text) > longest}
    return [text[:longest] for text in texts], lengths


# Pictures


@dataclass(frozen=True)
class _Way:
    """How pictures are kept: their longer side at most, and the quality, None for lossless."""

    side: int
    quality: int | None

    @property
    def kind(self) -> str:
        return "png" if self.quality is None else "webp"


def _ways(side: int) -> Sequence[_Way]:
    """Returns from good to small how pictures whose longer side is `side` pixels can be kept."""
    if side <= 64:
        return [_Way(side, None), _Way(side, 90), _Way(side, 75), _Way(side, 50)]
    first = min(side, LARGEST_SIDE)
    sides = [first, *(less for less in (128, 64) if less < first)]
    return [*(_Way(side, 85) for side in sides), _Way(64, 50)]


def _held_pictures(examples: Examples, drawn: np.ndarray, count: int, budget: float) -> _Held:
    some = drawn[: min(count, _MEASURED)]
    shape = np.asarray(examples.view(examples.places[some[:1]])).shape[1:3]
    layers, _ = _layers(examples.take(some))
    marked = sum(map(len, layers))
    for way in _ways(max(shape)):
        sheets, _ = _sheets(examples.take(some), way)
        fits = min(count, int(budget * len(some) / (sum(map(len, sheets)) + marked)))
        if fits == count:
            break
    while True:
        held, notes = _sampled(examples, drawn, count, max(1, fits), budget, "pictures")
        sheets, picture = _sheets(held, way)
        layers, marks = _layers(held)
        size = sum(map(len, sheets)) + sum(map(len, layers))
        if size <= budget or fits <= 1:
            break
        fits = int(fits * budget / size * 0.98)
    width, height = picture["width"], picture["height"]
    if (height, width) != shape:
        notes += (f"Pictures are shown at {height}x{width} pixels, of {shape[0]}x{shape[1]}.",)
    if way.quality is not None:
        notes += (f"Pictures are compressed with loss (WebP, quality {way.quality} of 100).",)
    return _Held(held, notes, picture=picture, sheets=sheets, marks=marks, layers=layers)


def _layers(examples: Examples) -> tuple[tuple[str, ...], dict[str, Any] | None]:
    """Returns what lies upon the pictures, and how to find and to colour it; None for nothing.

    The first are deflated JSON in base64, of `each` pictures a list with the layer as HTML and the
    numbers of its kinds, or with 0.
    """
    packed: list[str] = []
    kinds, any_drawn = Kinds(), False
    for start in range(0, len(examples), _LAYERS):
        given = examples.annotate(examples.places[start : start + _LAYERS])
        if given is None:
            return (), None
        kinds.add(given.names)
        layers: list[Any] = []
        for marks in given.marks:
            drawn = overlay(marks, kinds)
            numbers = sorted(kinds.number(name) for name in marks.names if name)
            layers.append([drawn, numbers] if drawn else 0)
        any_drawn |= any(layers)
        packed.append(base64.b64encode(zlib.compress(_json(layers).encode(), 9)).decode("ascii"))
    if not any_drawn:
        return (), None
    coloured = [[_short(name), kinds.colour(name)] for name in kinds.names]
    return tuple(packed), {"each": _LAYERS, "kinds": coloured}


def _sheets(examples: Examples, way: _Way) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Returns pictures side by side in sheets, in base64, and how to find one of them."""
    shape = np.asarray(examples.view(examples.places[:1])).shape[1:3]
    height, width = _shrunk(shape, way.side)
    across, down = max(1, _SHEET_SIDE // width), max(1, _SHEET_SIDE // height)
    sheets = []
    for start in range(0, len(examples), across * down):
        some = examples.places[start : start + across * down]
        pixels = _resized(_bytes_of(np.asarray(examples.view(some))), (height, width))
        lines = -(-len(some) // across)
        sheet = np.zeros((lines * across, *pixels.shape[1:]), np.uint8)
        sheet[: len(pixels)] = pixels
        sheet = sheet.reshape(lines, across, *pixels.shape[1:]).swapaxes(1, 2)
        sheet = sheet.reshape(lines * height, across * width, *pixels.shape[3:])
        sheets.append(_encoded(sheet, way))
    return tuple(sheets), {
        "width": width,
        "height": height,
        "across": across,
        "each": across * down,
        "type": f"image/{way.kind}",
    }


def _shrunk(shape: Sequence[int], side: int) -> tuple[int, int]:
    shrink = min(1.0, side / max(shape))
    return max(1, round(shape[0] * shrink)), max(1, round(shape[1] * shrink))


def _bytes_of(pictures: np.ndarray) -> np.ndarray:
    """Returns pictures float[k, h, w(, c)] in [0, 1] as uint8[k, h, w] or uint8[k, h, w, 3]."""
    found = np.clip(np.nan_to_num(np.asarray(pictures, np.float32)), 0.0, 1.0)
    if found.ndim == 4:
        found = found[..., :3] if found.shape[-1] >= 3 else found.mean(axis=-1)
    return np.round(found * 255.0).astype(np.uint8)


def _resized(pictures: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns pictures uint8[k, h, w(, 3)] at another height and width."""
    from PIL import Image

    if pictures.shape[1:3] == shape:
        return pictures
    size = (shape[1], shape[0])
    some = [Image.fromarray(each).resize(size, Image.Resampling.BOX) for each in pictures]
    return np.stack([np.asarray(each) for each in some])


def _encoded(sheet: np.ndarray, way: _Way) -> str:
    from PIL import Image

    out = io.BytesIO()
    if way.quality is None:
        Image.fromarray(sheet).save(out, "PNG")
    else:
        Image.fromarray(sheet).save(out, "WEBP", quality=way.quality, method=2)
    return base64.b64encode(out.getvalue()).decode("ascii")


# Columns


def _coded(column: Column) -> dict[str, Any]:
    """Returns a column as JSON takes it: numbers to 6 digits, other values as numbers of words."""
    values = column.values
    told: dict[str, Any] = {"name": _short(column.name), "note": _short(column.note)}
    kind = values.dtype.kind
    if kind == "f":
        return told | {"kind": "number", "values": _numbers(values)}
    if kind in "iu" and (not len(values) or max(-int(values.min()), int(values.max())) < _SAFE):
        return told | {"kind": "whole", "values": values.tolist()}
    if kind == "b":
        return told | {"kind": "truth", "values": values.astype(int).tolist()}
    codes: dict[str, int] = {}
    rows = [codes.setdefault(str(value), len(codes)) for value in values.tolist()]
    return told | {"kind": "word", "values": rows, "words": [_short(word) for word in codes]}


def _numbers(values: np.ndarray) -> list[float | str | None]:
    """Returns numbers rounded to 6 digits; NaN as None, and infinity, which JSON lacks, as text."""

    def told(value: float) -> float | str | None:
        if np.isfinite(value):
            return float(f"{value:.6g}")
        return None if value != value else ("-Infinity" if value < 0 else "Infinity")

    return [told(value) for value in values.astype(np.float64).tolist()]


def _any_long(values: np.ndarray) -> bool:
    return any(len(str(value)) > LONGEST_WORD for value in values.tolist())


def _short(text: str, limit: int = LONGEST_WORD) -> str:
    kept = printable(str(text)[: limit + 1])
    return kept if len(str(text)) <= limit else kept[: limit - 1] + "…"


def _json(told: Any) -> str:
    """Returns JSON that can stand inside of a script element, which only "<" could end."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


# The page


@functools.cache
def _template() -> Any:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jrecipe.explore", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw"] = Markup
    return environment.get_template("explorer.html.j2")


def _own(name: str) -> str:
    return resources.files("jrecipe.explore").joinpath(name).read_text(encoding="utf-8")


def _bundle(name: str) -> str:
    try:
        text = resources.files("itables").joinpath("html", name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise TaskError(
            f"the table of the page comes with the package itables, which lacks {name} here; "
            'pip install "itables>=2.9".'
        ) from error
    return text.replace("\r\n", "\n")


@functools.cache
def _table_script() -> str:
    """Returns DataTables as a module that leaves its class in `globalThis.jrecipeTables`."""
    text = _bundle("dt_bundle.js")
    names = [found[1] for found in re.finditer(r"\bexport\s*\{([^{}]*)\}", text)]
    exported = dict(re.findall(r"([\w$]+) as ([\w$]+)", names[-1])) if names else {}
    jquery = next((own for own, given in exported.items() if given == "jQuery"), None)
    if jquery is None or "\0" in text:
        raise TaskError(
            "the table of the page cannot be taken out of this version of itables; "
            'pip install "itables>=2.9,<3".'
        )
    # Inside of strings and regular expressions, the only places they stand in, these are the same.
    safe = re.sub(r"<(?=!--|/?script)", r"\\x3c", text, flags=re.IGNORECASE)
    return f"{safe}\nglobalThis.jrecipeTables = {{ DataTable: {jquery}.fn.dataTable }};\n"


@functools.cache
def _table_style() -> str:
    return _bundle("dt_bundle.css").replace("</", "<\\/") + "\n"


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
