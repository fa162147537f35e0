"""TensorFlow Datasets, read as array records without TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.data.encode import ImageEncoder, TabularEncoder, TextEncoder, VectorEncoder
from jrecipe.data.pictures import LARGEST, to_shape
from jrecipe.data.splits import Splits, assemble
from jrecipe.types import TaskError

_SPLITS = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}
_TARGETS = ("label", "labels", "target", "y", "class")
_CHUNK = 512


def load_tfds(
    name: str,
    *,
    seed: int = 0,
    data_dir: str | Path | None = None,
    target: str | None = None,
    kind: str | None = None,
) -> Splits:
    """Loads a data set that TensorFlow Datasets has prepared as array records.

    Reading needs no TensorFlow; preparing a set does, once, and the error says with which commands.

    Args:
      name: as "mnist" or "glue:sst2" (data set and config).
      seed: of the splits that are cut.
      data_dir: where the sets were prepared; by default where `tfds` puts them.
      target: name of the target feature; by default the set's own choice.
      kind: "classes", "number" or "multilabel", or None to look.

    Raises:
      TaskError: unknown name, a set that is not prepared, or features that are not understood.
    """
    import tensorflow_datasets as tfds

    builder, sources, word = open_tfds(name, data_dir)
    found = {split: sources[called] for split, called in word.items()}
    features = dict(sorted(builder.info.features.items()))  # stored in no particular order
    goal = _target(features, builder.info.supervised_keys, target, name)
    feature = features[goal]
    names: list[str] = []
    if isinstance(feature, tfds.features.ClassLabel):
        kind, names = kind or "classes", list(feature.names or [])
    key, read, fit = _inputs(features, goal, builder.info.supervised_keys, name)
    skip = {
        other: tfds.decode.SkipDecoding()
        for other in features
        if isinstance(features[other], tfds.features.Image)
    }
    labels = builder.as_data_source(decoders=skip or None)  # labels alone need no pictures
    raw = {
        split: (read(source), _column(labels[word[split]], goal)) for split, source in found.items()
    }
    return assemble(
        name.replace(":", "/"),
        raw,
        where=f"tfds:{name}",
        seed=seed,
        fit=fit,
        kind=kind,
        class_names=names,
        notes=[f"{goal!r} is the target and {key} the input."],
    )


def open_tfds(
    name: str, data_dir: str | Path | None = None
) -> tuple[Any, dict[str, Any], dict[str, str]]:
    """Opens a prepared set.

    Args:
      name: as "mnist" or "glue:sst2".
      data_dir: where the sets were prepared; by default where `tfds` puts them.

    Returns:
      its builder; its data sources by the names of tfds; and which of these is "train", and which
      are "val" and "test", if there are such.

    Raises:
      TaskError: unknown name, a set that is not prepared, or one without training rows.
    """
    builder = _prepared(name, data_dir)
    sources = dict(builder.as_data_source())
    called = {
        split: next((word for word in words if word in sources), None)
        for split, words in _SPLITS.items()
    }
    if called["train"] is None:
        raise TaskError(f"tfds:{name} has no train split; it has {', '.join(map(repr, sources))}.")
    return builder, sources, {split: word for split, word in called.items() if word is not None}


def records_of(source: Any, rows: np.ndarray | None = None) -> Iterator[dict[str, Any]]:
    """Yields the records `rows` int[k] of a data source of tfds, all by default, read in chunks."""
    rows = np.arange(len(source)) if rows is None else rows
    for start in range(0, len(rows), _CHUNK):
        yield from source.__getitems__(rows[start : start + _CHUNK].tolist())


@dataclasses.dataclass(frozen=True, eq=False)
class RecordPictures:
    """Pictures among the records, read when they are needed, as raw inputs of an `ImageEncoder`.

    Attributes:
      records: a data source of tfds.
      key: name of the picture feature.
      shape: (height, width, channels) that every picture is brought to.
      rows: int[n], which records.
    """

    records: Any
    key: str
    shape: tuple[int, int, int]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns the pictures `rows` int[k] as [k, h, w, c] in the stored dtype."""
        wanted = [int(row) for row in self.rows[rows]]
        return np.stack([self._fit(r[self.key]) for r in self.records.__getitems__(wanted)])

    def subset(self, rows: np.ndarray) -> RecordPictures:
        """Returns the pictures `rows` int[k], without reading them."""
        return dataclasses.replace(self, rows=self.rows[rows])

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape == self.shape:
            return picture
        from PIL import Image

        squeezed = picture[..., 0] if picture.shape[-1] == 1 else picture
        return to_shape(Image.fromarray(squeezed), self.shape)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps tfds from warning, and printing a banner, about what the errors here say better."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _prepared(name: str, data_dir: str | Path | None) -> Any:
    """Returns the builder of a set that can be read, or says how to prepare it."""
    import tensorflow_datasets as tfds

    path = name.replace(":", "/", 1)
    where = f" --data_dir={data_dir}" if data_dir is not None else ""
    commands = f"`pip install tensorflow` and `tfds build {path} --file_format=array_record{where}`"
    try:
        with _quiet():
            builder = tfds.builder(path, data_dir=data_dir)
            ready = builder.is_prepared()
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(path.split("/")[0], known, n=1)
        hint = f"did you mean tfds:{close[0]}?" if close else "see `tfds.list_builders()`."
        raise TaskError(f"tfds:{name} is no data set that tfds knows or finds; {hint}") from error
    except ImportError as error:
        raise TaskError(
            f"tfds:{name} is not prepared, and preparing needs {error.name or 'TensorFlow'}; "
            f"run {commands}."
        ) from error
    except (ValueError, RuntimeError, AssertionError) as error:  # an unknown config or version
        first = str(error).strip().splitlines()[0]
        raise TaskError(f"tfds:{name} cannot be opened: {first}") from error
    if not ready:
        raise TaskError(
            f"tfds:{name} is not prepared in {builder.data_path}; run {commands} once "
            "(reading needs no tensorflow)."
        )
    readable = tfds.core.FileFormat.with_random_access()
    if not readable & set(builder.info.available_file_formats()):
        raise TaskError(
            f"tfds:{name} is prepared as {builder.info.file_format.value} in {builder.data_dir}, "
            f"which needs tensorflow to read; run {commands} with another --data_dir."
        )
    return builder


def _target(features: dict[str, Any], supervised: Any, asked: str | None, name: str) -> str:
    import tensorflow_datasets as tfds

    if asked is not None:
        if asked not in features:
            raise TaskError(
                f"tfds:{name} has no feature {asked!r} (target); it has {_of(features)}."
            )
        return asked
    if supervised and isinstance(supervised[1], str):
        return supervised[1]
    labels = [key for key, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    for key in (*(key for key in _TARGETS if key in features), *labels):
        return key
    raise TaskError(
        f"tfds:{name} does not say which feature is the target; give target=, one of "
        f"{_of(features)}."
    )


def _inputs(
    features: dict[str, Any], goal: str, supervised: Any, name: str
) -> tuple[str, Callable[[Any], Any], Callable[[Any], Any]]:
    """Returns what the input is, how to read it from a data source, and how to fit its encoder."""
    import tensorflow_datasets as tfds

    others = {key: feature for key, feature in features.items() if key != goal}
    if supervised and isinstance(supervised[0], str) and supervised[0] in others:
        others = {supervised[0]: others[supervised[0]]}
    pictures = [k for k, f in others.items() if isinstance(f, tfds.features.Image)]
    texts = [k for k, f in others.items() if isinstance(f, tfds.features.Text)]
    vectors = [k for k, f in others.items() if _rank(f) == 1 and _numeric(f)]
    scalars = [k for k, f in others.items() if _rank(f) == 0 and k not in texts]
    if pictures:
        return repr(pictures[0]), lambda s: _pictures(s, pictures[0]), ImageEncoder.fit
    if len(scalars) > 1:
        # Texts among numbers are names, as in passenger lists, and say nothing about the next row.
        ignored = tuple(key for key in features if key not in scalars)
        fit_table = functools.partial(TabularEncoder.fit, ignored=ignored)
        return f"{len(scalars)} columns", lambda s: _table(s, scalars), fit_table
    if texts:
        fit_text = functools.partial(TextEncoder.fit, column=texts[0])
        return repr(texts[0]), lambda s: [_text(x) for x in _cells(s, texts[0])], fit_text
    if vectors:
        return repr(vectors[0]), lambda s: _column(s, vectors[0]), VectorEncoder.fit
    if scalars:
        return repr(scalars[0]), lambda s: _table(s, scalars), TabularEncoder.fit
    raise TaskError(
        f"tfds:{name} has no picture, text, vector or number besides {goal!r}; it has "
        f"{_of(features)}. Read it with tfds.data_source and give arrays to jr.Task."
    )


def _pictures(source: Any, key: str) -> RecordPictures:
    """Finds the common shape of the pictures, from the features or else from up to 1,000."""
    rows = np.arange(len(source))
    fixed = tuple(source.dataset_info.features[key].shape)
    if None in fixed:
        probe = np.linspace(0, len(source) - 1, min(len(source), 1000)).astype(int)
        shapes = Counter(record[key].shape for record in records_of(source, probe))
        height, width, channels = max(shapes, key=lambda shape: (shapes[shape], shape))
        shrink = min(1.0, LARGEST / max(height, width))
        fixed = (max(1, round(height * shrink)), max(1, round(width * shrink)), channels)
    return RecordPictures(source, key, fixed, rows)


def _cells(source: Any, key: str) -> list[Any]:
    return [record[key] for record in records_of(source)]


def _column(source: Any, key: str) -> np.ndarray:
    cells = _cells(source, key)
    return np.array([_text(cell) if isinstance(cell, bytes) else cell for cell in cells])


def _table(source: Any, keys: list[str]) -> dict[str, list[Any]]:
    plain = lambda x: _text(x) if isinstance(x, bytes | str) else np.asarray(x).item()  # noqa: E731
    rows = [[plain(record[key]) for key in keys] for record in records_of(source)]
    return {key: [row[i] for row in rows] for i, key in enumerate(keys)}


def _text(cell: Any) -> str:
    return cell.decode("utf-8", errors="replace") if isinstance(cell, bytes) else str(cell)


def _rank(feature: Any) -> int:
    shape = getattr(feature, "shape", None)
    return len(shape) if isinstance(shape, tuple) else -1


def _numeric(feature: Any) -> bool:
    return np.dtype(feature.np_dtype).kind in "biuf"


def _of(features: dict[str, Any]) -> str:
    return ", ".join(repr(key) for key in features)
