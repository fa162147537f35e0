"""How quick is augmentation, beside transforms of single pictures in torch, dm-pix and augmax?

Question: time per batch of 128 pictures of 32 x 32 x 3, compiled where the library compiles, in
turns in one process. "flip, crop, erase" is torchvision's recipe, written with torch tensors, one
picture after another, as a data loader's worker runs it; the others compare with dm-pix and augmax
(both under `jit` and `vmap`, a key for each picture) where they have the operation. Wanted: at
least 5 times as fast as torch, and at least as fast as the other two.

Command: pip install dm-pix augmax; python experiments/benchmarks/augmentation.py --rounds 15
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contest import Run, contest, ratios, rows, save

import jrecipe as jr
from jrecipe import augment

SIZE, SIDE, PADDING = 128, 32, 4
OURS = "jrecipe"
AREA, ASPECT = (0.02, 0.33), (0.3, 3.3)
WANTED = {"torch": 5.0, "dm-pix": 1.0, "augmax": 1.0}
Entries = Mapping[str, Mapping[str, Run]]


def pictures() -> np.ndarray:
    """Returns random pictures float32[128, 32, 32, 3] in [0, 1]."""
    return np.random.default_rng(0).uniform(size=(SIZE, SIDE, SIDE, 3)).astype(np.float32)


def compiled(function: Callable[[Any, Any], Any], calls: int) -> Run:
    """Returns a run of `(key, pictures) -> pictures` under `jit`, by `calls` batches."""
    x, traces = jnp.asarray(pictures()), []

    def counted(key: Any, x: Any) -> Any:
        traces.append(1)
        return function(key, x)

    jitted, keys = jax.jit(counted), list(jax.random.split(jax.random.key(0), calls))

    def run() -> float:
        start = time.perf_counter()
        for key in keys:
            jax.block_until_ready(jitted(key, x))
        assert len(traces) == 1  # no batch is compiled anew
        return (time.perf_counter() - start) / calls

    return run


def ours(*parts: Any, calls: int) -> Run:
    """Returns a run of augmentations of jrecipe."""
    whole = augment.compose(*parts)
    nothing = jnp.zeros(SIZE)
    return compiled(lambda key, x: whole(key, jr.Batch(x, nothing, nothing)).inputs, calls)


def each(function: Callable[[Any, Any], Any], calls: int) -> Run:
    """Returns a run of a function of one picture, mapped over the batch with a key for each."""
    mapped = jax.vmap(function)
    return compiled(lambda key, x: mapped(jax.random.split(key, len(x)), x), calls)


def torch_pictures(calls: int, erase: bool) -> Run:
    """Returns a run of flip, crop and erase with torch, as torchvision does it by picture."""
    import torch
    from torch.nn.functional import pad

    x = torch.from_numpy(pictures()).permute(0, 3, 1, 2).contiguous()
    logs = tuple(map(math.log, ASPECT))

    def change(one: Any) -> Any:
        if torch.rand(1) < 0.5:
            one = one.flip(-1)
        wide = pad(one[None], (PADDING,) * 4, mode="reflect")[0]
        i, j = (int(torch.randint(0, 2 * PADDING + 1, (1,))) for _ in range(2))
        one = wide[:, i : i + SIDE, j : j + SIDE]
        if erase and torch.rand(1) < 0.5:
            for _ in range(10):
                area = SIDE * SIDE * float(torch.empty(1).uniform_(*AREA))
                aspect = math.exp(float(torch.empty(1).uniform_(*logs)))
                h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
                if h < SIDE and w < SIDE:
                    i = int(torch.randint(0, SIDE - h + 1, (1,)))
                    j = int(torch.randint(0, SIDE - w + 1, (1,)))
                    one = one.clone()
                    one[:, i : i + h, j : j + w] = 0.0
                    break
        return one

    def run() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            torch.stack([change(one) for one in x])
        return (time.perf_counter() - start) / calls

    return run


def entries(calls: int) -> Entries:
    """Returns the contestants of each contest."""
    import augmax
    import dm_pix as pix

    flip, crop = augment.random_flip(), augment.random_crop(PADDING)
    erase = augment.random_erase(0.5, area=AREA, aspect=ASPECT)
    margin = ((PADDING, PADDING), (PADDING, PADDING), (0, 0))

    def with_pix(key: Any, x: Any) -> Any:
        first, second = jax.random.split(key)
        x = pix.random_flip_left_right(first, x)
        return pix.random_crop(second, jnp.pad(x, margin, mode="reflect"), (SIDE, SIDE, 3))

    chain = augmax.Chain(augmax.HorizontalFlip(), augmax.RandomCrop(SIDE, SIDE))

    def turned_by_pix(key: Any, x: Any) -> Any:
        angle = jax.random.uniform(key, minval=-np.pi / 6, maxval=np.pi / 6)
        return pix.rotate(x, angle, order=1)

    def coloured_by_pix(key: Any, x: Any) -> Any:
        first, second, third = jax.random.split(key, 3)
        x = pix.random_brightness(first, x, 0.4)
        x = pix.random_contrast(second, x, 0.6, 1.4)
        return jnp.clip(pix.random_saturation(third, x, 0.6, 1.4), 0, 1)

    def blurred_by_pix(key: Any, x: Any) -> Any:
        sigma = jax.random.uniform(key, minval=0.1, maxval=1.0)
        return pix.gaussian_blur(x, sigma, kernel_size=7)

    rotate = augmax.Chain(augmax.Rotate((-30, 30)))
    colours = (
        augment.random_brightness(0.4),
        augment.random_contrast(0.4),
        augment.random_saturation(0.4),
    )
    few = max(calls // 10, 1)
    return {
        "flip, crop, erase": {
            OURS: ours(flip, crop, erase, calls=calls),
            "torch, one picture after another": torch_pictures(few, erase=True),
        },
        "flip, crop": {
            OURS: ours(flip, crop, calls=calls),
            "dm-pix": each(with_pix, calls),
            "augmax": each(lambda key, x: chain(key, jnp.pad(x, margin, mode="reflect")), calls),
            "torch, one picture after another": torch_pictures(few, erase=False),
        },
        "rotate": {
            OURS: ours(augment.random_rotate(30), calls=calls),
            "dm-pix": each(turned_by_pix, calls),
            "augmax": each(rotate, calls),
        },
        "brightness, contrast, saturation": {
            OURS: ours(*colours, calls=calls),
            "dm-pix": each(coloured_by_pix, calls),
        },
        "blur": {
            OURS: ours(augment.random_blur((0.1, 1.0)), calls=calls),
            "dm-pix": each(blurred_by_pix, calls),
        },
    }


def main() -> None:
    """Prints a table for each contest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--save", type=Path, help="folder for ratios as JSON")
    given = parser.parse_args()
    for title, runs in entries(given.calls).items():
        seconds = contest(runs, given.rounds)
        print(f"\n{title}, {SIZE} pictures of {SIDE} x {SIDE} x 3\n")
        print("\n".join(rows(seconds, OURS)))
        if given.save:
            found = ratios(seconds, OURS)
            wanted = {name: WANTED[name.split(",")[0]] for name in found}
            save(given.save / f"augment-{title.split(',')[0]}.json", title, found, wanted)


if __name__ == "__main__":
    main()
