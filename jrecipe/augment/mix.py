"""Examples made of two: mixup and cutmix (D3). Their targets are mixed as they are.

Class indices become shares of each class, float32[b, classes], which
`jr.losses.softmax_cross_entropy()` takes as they are. Partners are other rows of the same batch;
rows of weight 0 (padding) are nobody's partner.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.augment.draws import draws
from jrecipe.augment.erase import rectangle_at
from jrecipe.augment.fields import FIELDS, Path, changed_fields, fields_of, with_leaves
from jrecipe.augment.numbers import is_concrete, require_between, require_whole
from jrecipe.augment.pictures import IMAGE, last_name, pictures_of, require_float, with_pictures
from jrecipe.types import Array, Augment, Batch, Key, TaskError


def mixup(
    alpha: float | Array = 0.2, *, classes: int | None = None, share: float | Array | None = None
) -> Augment:
    """Blends each picture with that of another example, and their targets by the same share.

    Args:
      alpha: > 0; the share that stays is drawn for each example from Beta(alpha, alpha). May be
        traced.
      classes: number of classes, needed where targets are class indices int[b].
      share: use this share, in [0, 1], in place of drawing one; 1 changes nothing.

    Returns:
      An augmentation. Float targets (soft labels [b, k], numbers, float masks) are blended; weights
      stay those of the example itself.

    Raises:
      TaskError: if an argument is out of range; or later if the inputs are no float pictures, class
        indices come without `classes`, or targets are boxes, key points or integer masks, of which
        there is no blend.

    References:
      Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017, arXiv:1710.09412.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> batch = Batch(jnp.zeros((2, 1, 1, 1)), jnp.array([0, 1]), jnp.ones(2))
      >>> mixup(classes=2, share=0.75)(jax.random.key(0), batch).targets.tolist()
      [[0.75, 0.25], [0.25, 0.75]]
    """
    _check("mixup", alpha, classes, share)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "mixup")
        require_float(x, "mixup")
        other, kept = _draw(key, batch, alpha, share)
        targets = _mixed_targets("mixup", batch, other, kept, classes, masks=True)
        return with_pictures(targets, _blend(x, x[other], kept))

    return apply


def cutmix(
    alpha: float | Array = 1.0, *, classes: int | None = None, share: float | Array | None = None
) -> Augment:
    """Puts a rectangle of another example into each picture, and mixes targets by the area kept.

    The rectangle has the shape of the picture, is rounded to whole pixels, and lies within; the
    share of the targets is that of the pixels that really stayed. Masks take the same rectangle.

    Args:
      alpha: > 0; the share of area that stays is drawn from Beta(alpha, alpha). May be traced.
      classes: number of classes, needed where targets are class indices int[b].
      share: use this share, in [0, 1], in place of drawing one; 1 changes nothing.

    Raises:
      TaskError: as `mixup`; but pictures and masks may be of any dtype.

    References:
      Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
      Features", 2019, arXiv:1905.04899.
    """
    _check("cutmix", alpha, classes, share)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "cutmix")
        _, h, w, _ = x.shape
        draw, place = (jax.random.fold_in(key, i) for i in range(2))
        other, wanted = _draw(draw, batch, alpha, share)
        side = jnp.sqrt(1 - wanted)
        sizes = jnp.round(jnp.stack([side * h, side * w], axis=-1)).astype(jnp.int32)
        inside = (
            rectangle_at(draws(place, len(x), 2), sizes, (h, w))
            & (other != jnp.arange(len(x)))[:, None, None]
        )
        kept = 1 - jnp.mean(inside, axis=(1, 2))

        def put(pixels: Array) -> Array:
            return jnp.where(inside[..., None], pixels[other], pixels)

        batch = changed_fields(
            _mixed_targets("cutmix", batch, other, kept, classes, masks=False),
            "cutmix",
            mask=put,
            points=lambda points: points,
            size=(h, w),
        )
        return with_pictures(batch, put(x))

    return apply


def _check(
    name: str, alpha: float | Array, classes: int | None, share: float | Array | None
) -> None:
    if is_concrete(alpha) and not 0 < alpha < float("inf"):
        raise TaskError(f"{name} needs `alpha` > 0, got {alpha=}; 0.2 is mild, 1 is uniform.")
    if classes is not None:
        require_whole(name, "classes", classes, 2)
    if share is not None:
        require_between(name, "share", share, 0.0, 1.0)


def _draw(
    key: Key, batch: Batch, alpha: float | Array, share: float | Array | None
) -> tuple[Array, Array]:
    """Returns `(other int32[b], kept float32[b])`: each row's partner, and how much it keeps."""
    b = jax.tree.leaves(batch.inputs)[0].shape[0]
    turn, beta = (jax.random.fold_in(key, i) for i in range(2))
    # Turned in a random order: everybody is somebody's partner, and nobody their own.
    order = jax.random.permutation(turn, b)
    other = jnp.zeros(b, jnp.int32).at[order].set(jnp.roll(order, 1))
    if batch.weights is not None:
        other = jnp.where(jnp.asarray(batch.weights)[other] > 0, other, jnp.arange(b))
    if share is None:
        kept = jax.random.beta(beta, alpha, alpha, (b,))
    else:
        kept = jnp.broadcast_to(jnp.asarray(share, jnp.float32), (b,))
    return other, kept


def _mixed_targets(
    name: str, batch: Batch, other: Array, kept: Array, classes: int | None, *, masks: bool
) -> Batch:
    """Returns the batch with its targets mixed; masks only where they are to be blended."""
    fields = fields_of(batch, name)
    new: dict[Path, Array] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path((batch.inputs, batch.targets)):
        field = fields[path][0] if path in fields else ""
        if field in FIELDS and field != "mask":
            raise TaskError(
                f"{name} cannot mix {field!r}, of which each example has its own; leave them out, "
                "or insert objects with jr.augment.paste_objects."
            )
        if field == "mask":
            if masks:
                _require_blendable(name, leaf)
                new[path] = _blend(leaf, leaf[other], kept)
        elif path[0].idx == 1:
            new[path] = _mixed_labels(name, leaf, other, kept, classes)
        elif len(path) > 1 and last_name(path) != IMAGE:
            raise TaskError(
                f"{name} cannot mix inputs{jax.tree_util.keystr(path[1:])}; it takes pictures "
                "alone, as inputs or inputs['image']."
            )
    return with_leaves(batch, new)


def _mixed_labels(name: str, leaf: Array, other: Array, kept: Array, classes: int | None) -> Array:
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return _blend(leaf, leaf[other], kept)
    if leaf.ndim != 1 or classes is None:
        raise TaskError(
            f"{name} needs `classes` and class indices int[b], or float targets, got {classes=} "
            f"and {leaf.dtype}{list(leaf.shape)}; give classes=10, say, or soft targets."
        )
    soft = jax.nn.one_hot(leaf, classes)
    return _blend(soft, soft[other], kept)


def _require_blendable(name: str, mask: Array) -> None:
    if not jnp.issubdtype(mask.dtype, jnp.floating):
        raise TaskError(
            f"{name} cannot blend masks of {mask.dtype}; give float masks (one channel for each "
            "class), or use jr.augment.cutmix, which cuts masks as well."
        )


def _blend(x: Array, other: Array, kept: Array) -> Array:
    kept = kept.reshape(-1, *[1] * (x.ndim - 1))
    mixed = kept * x.astype(jnp.float32) + (1 - kept) * other.astype(jnp.float32)
    return mixed.astype(x.dtype)
