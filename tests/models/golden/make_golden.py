"""Writes `golden.npz`: what networks in plain torch answer, for weights made by `weights.py`.

The layouts are written down here a second time, from torchvision's documentation and the papers,
in another framework: none of jrecipe's networks is used.

Command: python tests/models/golden/make_golden.py   (needs torch; written with torch 2.13, CPU)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from weights import FIRES, RESNETS, arrays_of, pictures

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def norm(x, p, name):
    stats = (p[f"{name}.running_mean"], p[f"{name}.running_var"])
    return F.batch_norm(x, *stats, p[f"{name}.weight"], p[f"{name}.bias"], eps=1e-5)


def resnet(name, x):
    """Returns the features [b, d] and the logits [b, k] for normalised pictures [b, 3, h, w]."""
    p = {leaf: torch.from_numpy(value) for leaf, value in arrays_of(name).items()}
    stages, expansion, _, head = RESNETS[name]
    large = head == "fc"
    x = F.conv2d(x, p["conv1.weight"], stride=2 if large else 1, padding=3 if large else 1)
    x = F.relu(norm(x, p, "bn1"))
    if large:
        x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, blocks in enumerate(stages, start=1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            if expansion == 1:
                y = F.conv2d(x, p[f"{at}.conv1.weight"], stride=stride, padding=1)
                y = F.relu(norm(y, p, f"{at}.bn1"))
                y = norm(F.conv2d(y, p[f"{at}.conv2.weight"], padding=1), p, f"{at}.bn2")
            else:
                y = F.relu(norm(F.conv2d(x, p[f"{at}.conv1.weight"]), p, f"{at}.bn1"))
                y = F.conv2d(y, p[f"{at}.conv2.weight"], stride=stride, padding=1)
                y = F.relu(norm(y, p, f"{at}.bn2"))
                y = norm(F.conv2d(y, p[f"{at}.conv3.weight"]), p, f"{at}.bn3")
            if f"{at}.downsample.0.weight" in p:
                x = F.conv2d(x, p[f"{at}.downsample.0.weight"], stride=stride)
                x = norm(x, p, f"{at}.downsample.1")
            elif stride == 2:  # option A
                more = y.shape[1] - x.shape[1]
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more // 2, more // 2))
            x = F.relu(y + x)
    features = x.mean(dim=(2, 3))
    return features, F.linear(features, p[f"{head}.weight"], p[f"{head}.bias"])


def squeezenet(x):
    """Returns the features [b, 512] for pictures [b, 3, h, w] in BGR, minus their mean."""
    kernels = lambda v: torch.from_numpy(v.transpose(3, 2, 0, 1).copy() if v.ndim == 4 else v)  # noqa: E731
    p = {leaf: kernels(value) for leaf, value in arrays_of("squeezenet").items()}
    layer = lambda x, at, **kw: F.relu(F.conv2d(x, p[f"{at}/kernel"], p[f"{at}/bias"], **kw))  # noqa: E731
    x = layer(x, "conv1", stride=2)
    for i in range(2, 2 + len(FIRES)):
        if i in (2, 4, 6):
            x = F.max_pool2d(x, 3, stride=2)
        x = layer(x, f"fire{i}/squeeze1x1")
        wide = layer(x, f"fire{i}/expand3x3", padding=1)
        x = torch.cat([layer(x, f"fire{i}/expand1x1"), wide], dim=1)
    return x.mean(dim=(2, 3))


def main() -> None:
    golden = {}
    for name in RESNETS:
        side = 70 if RESNETS[name][3] == "fc" else 32
        x = torch.from_numpy(pictures(side)).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(v)[None, :, None, None] for v in IMAGENET)
        features, logits = resnet(name, (x - mean) / std)
        golden[f"{name}_features"], golden[f"{name}_logits"] = features.numpy(), logits.numpy()
    x = torch.from_numpy(pictures(70)).permute(0, 3, 1, 2).flip(1).float()
    x = x - torch.tensor([103.939, 116.779, 123.68])[None, :, None, None]
    golden["squeezenet_features"] = squeezenet(x).numpy()
    np.savez_compressed(Path(__file__).with_name("golden.npz"), **golden)
    for name, value in golden.items():
        print(name, value.shape, float(np.abs(value).mean()))


if __name__ == "__main__":
    main()
