"""Pretrained weights together with the normalisation that belongs to them (D4, H1)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jrecipe.models.adapt import as_model
from jrecipe.models.resnet import LAYOUTS, ResNet
from jrecipe.models.resnet_cifar import ResNetCifar
from jrecipe.models.squeezenet import SqueezeNet
from jrecipe.models.weights import fill, read_arrays
from jrecipe.types import Array, Key, Model, PyTree, TaskError

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of 1 for white, RGB
_CAFFE = (103.939, 116.779, 123.68)  # of 255 for white, BGR


@dataclasses.dataclass(frozen=True, eq=False)
class Pretrained:
    """A network, its weights, and what pictures have to go through before they enter it.

    Pictures in another normalisation than that of the weights do not raise an error, they only cost
    accuracy. `preprocess` does it right.

    Attributes:
      module: the Linen module.
      variables: `{"params", "batch_stats"}` of NumPy float32, the latter if it has BatchNorm.
      mean: per channel, in the order and the units of the network.
      std: per channel, the same.
      white: what 255 becomes before mean and deviation: 1 or 255.
      reversed_channels: True if the network wants blue, green, red.
      source: the file.
    """

    module: nn.Module
    variables: PyTree
    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float = 1.0
    reversed_channels: bool = False
    source: str = ""

    def preprocess(self, pictures: Array) -> Array:
        """Returns float32[b, h, w, 3], ready for the network, from RGB pictures uint8[b, h, w, 3].

        Raises:
          TaskError: for another dtype or shape.
        """
        if np.ndim(pictures) != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8:
            got = f"{pictures.dtype}{list(pictures.shape)}"
            raise TaskError(
                f"preprocess needs RGB pictures uint8[b, h, w, 3], got {got}; give them as they "
                "are stored, not normalised, and repeat the channel of grey ones three times."
            )
        x = pictures[..., ::-1] if self.reversed_channels else pictures
        shape = (1, 1, 1, 3)
        mean, std = (np.array(v, np.float32).reshape(shape) for v in (self.mean, self.std))
        return (x.astype(np.float32) * np.float32(self.white / 255) - mean) / std

    @property
    def model(self) -> Model:
        """The network as a `Model` whose `init` gives these weights, whatever the key."""
        state = dict(self.variables)
        params = state.pop("params")

        def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
            del key, inputs
            return jax.tree.map(jax.numpy.array, (params, state))  # copies: a step may donate them

        return dataclasses.replace(as_model(self.module), init=init)


def load_pretrained(
    path: str | Path,
    *,
    outputs: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Pretrained:
    """Loads weights, recognises the network by the names in the file, and checks all of them.

    | names | network | normalisation, unless given |
    | --- | --- | --- |
    | `layer1` to `layer3`, `linear` | `ResNetCifar` | ImageNet's mean and deviation, of 1 |
    | `layer1` to `layer4`, `fc`: torchvision | `ResNet` | the same |
    | `conv1`, `fire2` to `fire9`: Keras | `SqueezeNet` | BGR minus a mean, of 255 |

    Args:
      path: `.npz` or `.safetensors`; pickled formats are refused.
      outputs: None keeps the last layer of the file; a number puts a new one in its place, which
        starts at zero (H6).
      mean: per channel, if the weights were trained with another one than in the table.
      std: per channel, likewise.

    Raises:
      TaskError: if the file cannot be read, holds another network, or lacks a last layer while
        `outputs` is None.
    """
    arrays = read_arrays(path)
    arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    arrays = {n: a for n, a in arrays.items() if not n.endswith("num_batches_tracked")}
    make: Callable[[int], nn.Module]
    name_of: Callable[[tuple[str, ...]], str]
    turn: Callable[[np.ndarray], np.ndarray]
    if "fire2/squeeze1x1/kernel" in arrays:
        parts: dict[str, Any] = {"mean": _CAFFE, "std": (1.0, 1.0, 1.0), "white": 255.0}
        parts["reversed_channels"] = True
        head, name_of, turn, make = "conv10", "/".join, np.asarray, SqueezeNet
    elif "layer1.0.conv1.weight" in arrays:
        parts = dict(zip(("mean", "std"), _IMAGENET, strict=True))
        large = "layer4.0.conv1.weight" in arrays
        head = "fc" if large else "linear"
        name_of, turn = _torch_name(head), _from_torch
        make = (_resnet if large else _resnet_cifar)(arrays, str(path))
    else:
        few = ", ".join(list(arrays)[:3])
        raise TaskError(
            f"{path} holds weights of an unknown network ({few}, ...); known are torch's names of "
            "ResNets (layer1.0.conv1.weight) and Keras' of SqueezeNet (fire2/squeeze1x1/kernel)."
        )
    stored = arrays.get(f"{head}.weight")
    if outputs is None and stored is None:
        raise TaskError(
            f"{path} holds no last layer ({head}.weight); give `outputs` for a new one, which "
            "starts at zero."
        )
    module = make(len(stored) if outputs is None and stored is not None else int(outputs or 0))
    shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, 64, 64, 3), np.float32))
    fresh = {}
    if outputs is not None:
        arrays = {n: a for n, a in arrays.items() if not n.startswith(f"{head}.")}
        new = shapes["params"].pop("output")
        fresh = {"output": jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), new)}
    variables = fill(shapes, arrays, name_of=lambda p: name_of(p[1:]), turn=turn, where=str(path))
    variables["params"] |= fresh
    given = {"mean": mean, "std": std}
    parts |= {name: _three(name, value) for name, value in given.items() if value is not None}
    return Pretrained(module=module, variables=variables, source=str(path), **parts)


def _three(name: str, values: Sequence[float]) -> tuple[float, ...]:
    if len(values) != 3 or (name == "std" and min(values) <= 0):
        raise TaskError(f"{name} needs three numbers, those of std above 0, got {values!r}.")
    return tuple(float(value) for value in values)


def _torch_name(head: str) -> Callable[[tuple[str, ...]], str]:
    """Returns `(path without its collection) -> torch's name`."""

    def name_of(path: tuple[str, ...]) -> str:
        if path[0] == "output":
            path = (head, path[-1])
        *layers, leaf = path
        leaf = {"kernel": "weight", "scale": "weight"}.get(leaf, leaf)
        leaf = {"mean": "running_mean", "var": "running_var"}.get(leaf, leaf)
        return ".".join([re.sub(r"_(\d+)$", r".\1", layer) for layer in layers] + [leaf])

    return name_of


def _from_torch(array: np.ndarray) -> np.ndarray:
    """Brings (out, in, height, width) to (height, width, in, out), and (out, in) to (in, out)."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T


def _blocks(arrays: Mapping[str, Any], stages: int) -> tuple[int, ...]:
    """Returns how many blocks each stage has."""
    return tuple(
        len({n.split(".")[1] for n in arrays if n.startswith(f"layer{stage}.")})
        for stage in range(1, stages + 1)
    )


def _resnet_cifar(arrays: Mapping[str, Any], where: str) -> Callable[[int], nn.Module]:
    depth, width = 6 * _blocks(arrays, 1)[0] + 2, len(arrays["layer1.0.conv1.weight"])
    return lambda outputs: ResNetCifar(outputs, depth=depth, width=width)


def _resnet(arrays: Mapping[str, Any], where: str) -> Callable[[int], nn.Module]:
    expansion = 4 if "layer1.0.conv3.weight" in arrays else 1
    found = (_blocks(arrays, 4), expansion)
    depths = [depth for depth, layout in LAYOUTS.items() if layout == found]
    if not depths:
        kind = "bottleneck" if expansion == 4 else "basic"
        raise TaskError(
            f"{where} holds a ResNet of {list(found[0])} {kind} blocks; known are the depths "
            f"{', '.join(map(str, LAYOUTS))}."
        )
    width = len(arrays["layer1.0.conv1.weight"])
    return lambda outputs: ResNet(outputs, depth=depths[0], width=width)
