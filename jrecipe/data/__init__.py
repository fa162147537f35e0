"""Sources of examples, splits, encoders, and batches in a reproducible order.

`load` reads a data set by name or path; the loaders behind it can be called by themselves.
"""

from jrecipe.data.buckets import buckets_of, evaluation_rows, training_rows
from jrecipe.data.damage import Damage
from jrecipe.data.digits import load_digits
from jrecipe.data.encode import (
    EncodedSource,
    Encoder,
    ImageEncoder,
    TabularEncoder,
    TextEncoder,
    VectorEncoder,
    encoder_from_json,
)
from jrecipe.data.folder import load_folder
from jrecipe.data.idx import load_idx, read_idx
from jrecipe.data.new import NewExamples, read_new
from jrecipe.data.npz import load_npz
from jrecipe.data.order import batch_rows, epoch_order, padded_rows
from jrecipe.data.source import ArraySource, as_source, in_memory, nbytes
from jrecipe.data.spec import load
from jrecipe.data.split import stratified_split
from jrecipe.data.splits import Splits
from jrecipe.data.stream import batches
from jrecipe.data.synthetic_shapes import SyntheticShapes
from jrecipe.data.table import load_table
from jrecipe.data.tfds import load_tfds

__all__ = [
    "ArraySource",
    "Damage",
    "EncodedSource",
    "Encoder",
    "ImageEncoder",
    "NewExamples",
    "Splits",
    "SyntheticShapes",
    "TabularEncoder",
    "TextEncoder",
    "VectorEncoder",
    "as_source",
    "batch_rows",
    "batches",
    "buckets_of",
    "encoder_from_json",
    "epoch_order",
    "evaluation_rows",
    "in_memory",
    "load",
    "load_digits",
    "load_folder",
    "load_idx",
    "load_npz",
    "load_table",
    "load_tfds",
    "nbytes",
    "padded_rows",
    "read_idx",
    "read_new",
    "stratified_split",
    "training_rows",
]
