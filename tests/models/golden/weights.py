"""Weights that the generator of golden outputs and the tests make alike; none are stored."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

BASIC, BOTTLENECK = 1, 4
# name -> (blocks a stage, expansion, width, name of the last layer)
RESNETS = {
    "resnet18": ((2, 2, 2, 2), BASIC, 64, "fc"),
    "resnet34_thin": ((3, 4, 6, 3), BASIC, 8, "fc"),
    "resnet50": ((3, 4, 6, 3), BOTTLENECK, 64, "fc"),
    "resnet18_thin": ((2, 2, 2, 2), BASIC, 8, "fc"),
    "resnet50_thin": ((3, 4, 6, 3), BOTTLENECK, 8, "fc"),
    "resnet20": ((3, 3, 3), BASIC, 16, "linear"),
}
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
OUTPUTS = 7


def pictures(side: int) -> np.ndarray:
    """Returns uint8[2, side, side + 2, 3], one of them dark; halved, one side is even, one odd."""
    drawn = np.random.default_rng(side).integers(0, 256, (2, side, side + 2, 3), np.uint8)
    return drawn // np.array([1, 4], np.uint8).reshape(2, 1, 1, 1)


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns float32 numbers that depend on the name alone, of a size that keeps signals alive."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) == 1:
        return rng.normal(0, 0.1, shape).astype(np.float32)
    inputs = np.prod(shape[:-1] if name.endswith("kernel") else shape[1:])
    return rng.normal(0, (1.5 / inputs) ** 0.5, shape).astype(np.float32)


def resnet_shapes(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields torch's names and shapes of a ResNet's arrays."""
    stages, expansion, width, head = RESNETS[name]

    def conv(name: str, out: int, given: int, side: int):
        yield f"{name}.weight", (out, given, side, side)

    def norm(name: str, channels: int):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{leaf}", (channels,)

    yield from conv("conv1", width, 3, 7 if head == "fc" else 3)
    yield from norm("bn1", width)
    given = width
    for stage, blocks in enumerate(stages):
        inner = width * 2**stage
        wide = inner * expansion
        for block in range(blocks):
            at = f"layer{stage + 1}.{block}"
            if expansion == BASIC:
                sizes = [(inner, given, 3), (inner, inner, 3)]
            else:
                sizes = [(inner, given, 1), (inner, inner, 3), (wide, inner, 1)]
            for i, size in enumerate(sizes, start=1):
                yield from conv(f"{at}.conv{i}", *size)
                yield from norm(f"{at}.bn{i}", size[0])
            if head == "fc" and block == 0 and (stage > 0 or given != wide):
                yield from conv(f"{at}.downsample.0", wide, given, 1)
                yield from norm(f"{at}.downsample.1", wide)
            given = wide
    yield f"{head}.weight", (OUTPUTS, given)
    yield f"{head}.bias", (OUTPUTS,)


def squeezenet_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields Keras' names and shapes of the arrays of SqueezeNet's features."""
    layers, given = [("conv1", 3, 3, 64)], 64
    for i, (few, many) in enumerate(FIRES, start=2):
        layers += [
            (f"fire{i}/squeeze1x1", 1, given, few),
            (f"fire{i}/expand1x1", 1, few, many),
            (f"fire{i}/expand3x3", 3, few, many),
        ]
        given = 2 * many
    for name, side, inputs, outputs in layers:
        yield f"{name}/kernel", (side, side, inputs, outputs)
        yield f"{name}/bias", (outputs,)


def arrays_of(name: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a network by the names of its original."""
    shapes = squeezenet_shapes() if name == "squeezenet" else resnet_shapes(name)
    return {leaf: values(leaf, shape) for leaf, shape in shapes}
