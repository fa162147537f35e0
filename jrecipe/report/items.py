"""Names of the recipe's items, as reports call them."""

from __future__ import annotations

STAGES = {
    "A": "Become one with the data",
    "B": "Skeleton and dumb baselines",
    "C": "Overfit",
    "D": "Regularise",
    "E": "Tune",
    "F": "Squeeze out the juice",
    "G": "Silent failures",
    "J": "Fine-tuning and deployment",
}

NAMES = {
    "A1": "Duplicates and leakage",
    "A2": "Corrupt examples and labels",
    "A3": "Class balance",
    "A4": "Biases and shortcuts",
    "A5": "Label noise",
    "A6": "What the problem needs",
    "A7": "Search, filter, sort",
    "A8": "Distributions and outliers",
    "A9": "Predictions looked at",
    "B1": "Fixed seed",
    "B2": "Simplified",
    "B3": "Exact evaluation",
    "B4": "Loss at init",
    "B5": "Init well",
    "B6": "Human baseline",
    "B7": "Input-independent baseline",
    "B8": "Overfit one batch",
    "B9": "Loss falls with capacity",
    "B10": "Just before the net",
    "B11": "Prediction dynamics",
    "B12": "Dependencies",
    "B13": "Generalise a special case",
    "C1": "Plain architecture",
    "C2": "Adam is safe",
    "C3": "One complication at a time",
    "C4": "Distrust LR decay",
    "D1": "More data",
    "D2": "Augmentation",
    "D3": "Creative augmentation",
    "D4": "Pre-training",
    "D5": "Supervised pre-training",
    "D6": "Smaller input",
    "D7": "Smaller model",
    "D8": "Smaller batch",
    "D9": "Dropout",
    "D10": "Weight decay",
    "D11": "Early stopping",
    "D12": "Larger model, stopped early",
    "D13": "Look inside",
    "G1": "Augmentation and targets",
    "G2": "Target seen",
    "G3": "Loss sound",
    "G4": "Pre-trained weights",
    "G5": "Sizes of rates and decay",
    "G6": "Reshape for transpose",
    "G7": "Labels aligned",
    "G8": "Softmax twice",
    "G9": "Softmax axis",
    "G10": "Broadcasting",
    "G11": "Dropout in evaluation",
    "G12": "Training and evaluation agree",
    "G13": "Frozen layers",
    "G14": "Optimiser",
    "G15": "Reference step",
    "G16": "Leakage",
    "G17": "Unshuffled data",
    "G18": "Gradient flow",
    "G19": "Layers",
    "G20": "Learning rate",
}


def item_name(item: str, check: str = "") -> str:
    """Returns the name of a recipe item; for one that has none, the name of its check.

    Example:
      >>> item_name("B4"), item_name("X1", "my-own-check")
      ('Loss at init', 'My own check')
    """
    return NAMES.get(item) or check.replace("-", " ").replace("_", " ").capitalize() or item
