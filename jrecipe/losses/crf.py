"""A linear-chain conditional random field: the likelihood of a whole sequence of tags (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jrecipe.losses import chain, checking
from jrecipe.losses.base import Kind, Shape
from jrecipe.losses.tags import bio2_steps
from jrecipe.losses.tokens import TokenCrossEntropy
from jrecipe.types import Array, PyTree, TaskError

_LEAVES = (*chain.Scores._fields, "mask")
_IMPOSSIBLE = -1e6  # added to a score: far below any other, and float32 still adds it exactly


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearChainCRF(TokenCrossEntropy):
    """See `crf`.

    Its laws are those of `token_cross_entropy` and speak of the emissions while transitions, start
    and end are 0, as they are in an untrained network: the words are then independent.
    """

    name: str = "linear-chain CRF"
    kind: Kind = "tags"
    pad: int | None = -1
    names: tuple[str, ...] | None = None

    def __call__(self, outputs: PyTree, targets: Array) -> tuple[Array, Array]:
        """Returns `(value, weight)` float32[b] from the outputs in `crf` and tags int[b, w]."""
        parts, _ = self._parts(outputs)
        targets = jnp.asarray(targets)
        shape = parts.emissions.shape
        if not jnp.issubdtype(targets.dtype, jnp.integer) or targets.shape != shape[:2]:
            raise TaskError(
                f"{self.name} needs tags int[b, w] for emissions {list(shape)}, got "
                f"{targets.dtype}{list(targets.shape)}; give one tag per word, -1 for padding."
            )
        mask = self.counted(targets)
        tags = jnp.where(mask, targets, 0).astype(jnp.int32)
        words = jnp.sum(mask, axis=1, dtype=jnp.float32)
        nats = chain.log_partition(parts, mask) - chain.path_score(parts, mask, tags)
        return jnp.where(words > 0, nats / jnp.maximum(words, 1.0), 0.0), words

    def spread_cost(self, outputs: PyTree) -> float:
        """Returns that of the emissions, as if the words were independent."""
        emissions = outputs["emissions"] if isinstance(outputs, dict) else outputs
        return super().spread_cost(emissions)

    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Asks for tags int[b, w], padding at the end only; `shape` is that of the emissions."""
        super().validate(targets, name, shape, several=several)
        tags = np.asarray(targets)
        counted = tags != self.pad
        after_padding = np.zeros_like(counted)
        after_padding[:, 1:] = counted[:, 1:] & ~counted[:, :-1]
        checking.require(
            ~after_padding,
            tags,
            name,
            "no tag after padding (-1)",
            "give every word between the first and the last a tag",
        )
        if self.names is not None:
            checking.require(
                tags < len(self.names),
                tags,
                name,
                f"tags below the number of names, {len(self.names)}",
                "name every tag",
            )

    def decide(self, outputs: PyTree) -> Array:
        """Returns the likeliest sequence of tags (Viterbi), int32[b, w], -1 at padding.

        With `names` only sequences that BIO2 allows are looked at.
        """
        parts, mask = self._parts(outputs)
        if self.names is not None:
            tags = parts.start.shape[1]
            if len(self.names) != tags:
                raise TaskError(
                    f"crf got {len(self.names)} names for outputs of {tags} tags; give one a tag."
                )
            first, follows = bio2_steps(self.names)
            start = parts.start + jnp.where(first, 0.0, _IMPOSSIBLE)[None]
            moves = parts.transitions + jnp.where(follows, 0.0, _IMPOSSIBLE)[None]
            parts = parts._replace(start=start, transitions=moves)
        return chain.viterbi(parts, mask)

    def _parts(self, outputs: PyTree) -> tuple[chain.Scores, Array]:
        """Returns the scores as float32, and the mask."""
        if not isinstance(outputs, dict) or set(outputs) != set(_LEAVES):
            got = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
            raise TaskError(
                f"{self.name} needs outputs with {', '.join(_LEAVES)}, got {got}; "
                "use jr.models.Tagger(..., crf=True)."
            )
        b, w, k = np.shape(outputs["emissions"])
        want = {"transitions": (b, k, k), "start": (b, k), "end": (b, k), "mask": (b, w)}
        for leaf, shape in want.items():
            if np.shape(outputs[leaf]) != shape:
                raise TaskError(
                    f"{self.name} needs {leaf} {list(shape)} for emissions {[b, w, k]}, got "
                    f"{list(np.shape(outputs[leaf]))}; give every leaf the examples along axis 0."
                )
        parts = [jnp.asarray(outputs[leaf], jnp.float32) for leaf in chain.Scores._fields]
        return chain.Scores(*parts), jnp.asarray(outputs["mask"], bool)


def crf(names: Sequence[str] | None = None) -> LinearChainCRF:
    """Negative log likelihood of a sequence of tags under a linear-chain CRF, in nats per word.

    Outputs, as `jr.models.Tagger(..., crf=True)` gives them, are a dict: "emissions"
    float[b, w, k], "transitions" float[b, k, k] (from, to), "start" and "end" float[b, k], the same
    in every row, and "mask" bool[b, w], True on the words. Targets are tags int[b, w], -1 for
    padding, which stands at the end. Returns `(value, weight)`: nats per word, and words, so that
    means over rows are means over words. With all transitions 0 it is
    `token_cross_entropy(pad=-1)`, whose uninformed value it shares: the entropy of the tags.

    Args:
      names: of the k tags, if they are BIO2: `decide` then never answers "I-X" but after "B-X" or
        "I-X". Training does not need this, and gold tags may break the rule.

    Raises:
      TaskError: if a name is no BIO2 tag, or stands there twice.

    References:
      Lafferty et al., "Conditional Random Fields", 2001. Lample et al., "Neural Architectures for
      Named Entity Recognition", 2016, arXiv:1603.01360.
    """
    if names is None:
        return LinearChainCRF()
    bio2_steps(names)
    return LinearChainCRF(names=tuple(str(name) for name in names))
