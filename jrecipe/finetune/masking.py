"""Tokens hidden at random, for an encoder to find again: BERT's masked language model (D5)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import Augment, Batch, Key, PyTree, TaskError

IGNORE = -100  # a target that does not count: `jr.losses.token_cross_entropy(pad=IGNORE)`
_MASKED, _RANDOM = 0.8, 0.1  # of the chosen tokens; the others stay as they are


def mask_tokens(
    vocabulary: int,
    mask_id: int,
    *,
    special_ids: Sequence[int] = (),
    rate: float = 0.15,
    ignore: int = IGNORE,
) -> Augment:
    """Chooses tokens, and hides them: 80 % become `mask_id`, 10 % a random token, 10 % stay.

    Each token that is neither padding nor special is chosen with chance `rate`, independently. The
    targets are the true ids at the chosen places and `ignore` at all others.

    Batches hold inputs `{"ids": int[b, t], "mask": bool[b, t]}` (other inputs stay) and targets
    int[b, t]: the true ids, or what an earlier masking made. That one is undone first, so that a
    split masked once by `masked`, on which losses are comparable, is masked anew in each update
    where this is `Task.augment`.

    Args:
      vocabulary: number of tokens; random ones are drawn evenly from those that are not special.
      mask_id: what stands in for a hidden token; special itself.
      special_ids: tokens that are neither chosen nor drawn, as those for padding and borders.
      rate: share of the tokens chosen, in (0, 1).
      ignore: target of places that do not count; no token's id.

    Raises:
      TaskError: if an argument is out of range; or later, if a batch is not as above.

    References:
      Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019,
      arXiv:1810.04805, section 3.1. Liu et al., "RoBERTa", 2019, arXiv:1907.11692, section 4.1.

    Example:
      >>> ids = jnp.array([[2, 7, 8, 9, 3, 0]])
      >>> batch = Batch({"ids": ids, "mask": ids > 0}, ids, jnp.ones(1))
      >>> hide = mask_tokens(20, mask_id=4, special_ids=(0, 2, 3), rate=0.99)
      >>> hide(jax.random.key(0), batch).targets.tolist()
      [[-100, 7, 8, 9, -100, -100]]
    """
    special = np.unique([mask_id, *special_ids])
    if not 0.0 < rate < 1.0:
        raise TaskError(f"mask_tokens needs `rate` in (0, 1), got {rate=}; 0.15 is usual.")
    if special[0] < 0 or special[-1] >= vocabulary:
        raise TaskError(
            f"mask_tokens needs ids in 0..{vocabulary - 1}, got mask_id={mask_id} and special_ids="
            f"{tuple(special_ids)}; give vocabulary={max(special[-1] + 1, 1)} or others."
        )
    if 0 <= ignore < vocabulary:
        raise TaskError(
            f"mask_tokens needs an `ignore` that is no token's id, got {ignore} of {vocabulary}; "
            f"try {IGNORE}."
        )
    words = np.setdiff1d(np.arange(vocabulary, dtype=np.int32), special)
    if not len(words):
        raise TaskError(f"mask_tokens has no token to draw, all {vocabulary} are special.")

    def apply(key: Key, batch: Batch) -> Batch:
        ids, real, targets = _parts(batch)
        true = jnp.where(targets == ignore, ids, targets)
        can = real & jnp.all(true[..., None] != jnp.asarray(special)[None, None], axis=-1)
        choose, turn, draw = (jax.random.fold_in(key, i) for i in range(3))
        chosen = can & (jax.random.uniform(choose, ids.shape) < rate)
        lot = jax.random.uniform(turn, ids.shape)
        drawn = jnp.asarray(words)[jax.random.randint(draw, ids.shape, 0, len(words))]
        shown = jnp.where(lot < _MASKED, mask_id, jnp.where(lot < _MASKED + _RANDOM, drawn, true))
        return batch._replace(
            inputs={**batch.inputs, "ids": jnp.where(chosen, shown, true).astype(ids.dtype)},
            targets=jnp.where(chosen, true, ignore).astype(targets.dtype),
        )

    return apply


def masked(inputs: PyTree, masking: Augment, key: Key) -> tuple[PyTree, PyTree]:
    """Returns `(inputs, targets)` of texts masked once, the same for the same key, to score on.

    Args:
      inputs: `{"ids": int[n, t], "mask": bool[n, t]}`, NumPy.
      masking: what `mask_tokens` returned.
      key: decides the draws.
    """
    ids = np.asarray(inputs["ids"])
    batch = masking(key, Batch(inputs, ids, np.ones(len(ids), np.float32)))
    made: tuple[PyTree, PyTree] = jax.tree.map(np.asarray, (batch.inputs, batch.targets))
    return made


def _parts(batch: Batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns ids, mask and targets, each [b, t], or says what is wrong with them."""
    inputs = batch.inputs
    if not isinstance(inputs, dict) or not {"ids", "mask"} <= inputs.keys():
        got = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise TaskError(
            f"mask_tokens needs inputs {{'ids': int[b, t], 'mask': bool[b, t]}}, got {got}; "
            "tokenise the texts first."
        )
    ids, real, targets = (jnp.asarray(x) for x in (inputs["ids"], inputs["mask"], batch.targets))
    if not ids.shape == real.shape == targets.shape or ids.ndim != 2:
        raise TaskError(
            f"mask_tokens needs ids, mask and targets of one shape [b, t], got {list(ids.shape)}, "
            f"{list(real.shape)} and {list(targets.shape)}; give the ids as targets."
        )
    return ids, real.astype(bool), targets
