"""What `config.json` says of an encoder, as the fields of a network, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jrecipe.models.bert import Bert
from jrecipe.models.bert_layer import ACTIVATIONS
from jrecipe.types import TaskError

# Field of `Bert` -> name in the file; those without a default in `_OPTIONAL` have to be there.
_BERT = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
    "length": "max_position_embeddings",
    "types": "type_vocab_size",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
}
_DISTILBERT = {
    "vocabulary": "vocab_size",
    "width": "dim",
    "depth": "n_layers",
    "heads": "n_heads",
    "hidden": "hidden_dim",
    "length": "max_position_embeddings",
    "activation": "activation",
    "dropout": "dropout",
}
_ROBERTA = ("roberta", "xlm-roberta", "camembert")  # one network, other texts and tokens
FIELDS = {"bert": _BERT, "distilbert": _DISTILBERT, **dict.fromkeys(_ROBERTA, _BERT)}
_OPTIONAL = {"activation": "gelu", "epsilon": 1e-12, "dropout": 0.1}
# What would make another network of the same tensors, and the one value that is known.
_FIXED = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


def read_config(folder: Path) -> dict[str, Any]:
    """Returns what `config.json` of a folder of weights holds.

    Raises:
      TaskError: if it is missing or is no JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise TaskError(
            f"{folder} has no config.json; give a folder of public weights: config.json, "
            "model.safetensors and the files of the tokenizer."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise TaskError(f"{path} is no JSON ({error}); fetch or save it again.") from error
    if not isinstance(config, dict):
        raise TaskError(f"{path} holds no JSON object; fetch or save it again.")
    return config


def encoder_of(config: Mapping[str, Any], where: str) -> Bert:
    """Returns the network that a configuration describes.

    Args:
      config: what `config.json` holds.
      where: the file, for the message.

    Raises:
      TaskError: if `model_type` is unknown, a field is missing or of no use, or the network differs
        from those of the BERT family in a way that its tensors do not show.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in FIELDS:
        known = ", ".join(FIELDS)
        raise TaskError(f"{where} needs a model_type of {known}, got {kind!r}.")
    names = FIELDS[kind]
    missing = [n for field, n in names.items() if n not in config and field not in _OPTIONAL]
    if missing:
        raise TaskError(f"{where} lacks {', '.join(missing)}; fetch it again, or add what it was.")
    for name, known_value in _FIXED.items():
        if config.get(name, known_value) != known_value:
            raise TaskError(
                f"{where} has {name}={config[name]!r}; known is {known_value!r}, so give an "
                "encoder of that kind."
            )
    values = {field: config.get(name, _OPTIONAL.get(field)) for field, name in names.items()}
    for field, value in values.items():
        if not _usable(field, value):
            wanted = _WANTED.get(field, "a whole number above 0")
            raise TaskError(f"{where} needs {names[field]} to be {wanted}, got {value!r}.")
    if kind == "distilbert":
        values["types"] = 0
    if kind in _ROBERTA:
        # Positions start after the row of the padding token, and the table counts those before.
        pad = config.get("pad_token_id", 1)
        first = pad + 1 if _whole(pad) else 0
        if not 0 < first < values["length"]:
            raise TaskError(
                f"{where} needs pad_token_id in 0..max_position_embeddings - 2, got {pad!r} and "
                f"{values['length']}."
            )
        values |= {"first_position": first, "length": values["length"] - first}
    return Bert(**values)


_WANTED = {
    "activation": f"one of {', '.join(ACTIVATIONS)}",
    "epsilon": "a number above 0",
    "dropout": "a number in [0, 1)",
}


def _usable(field: str, value: object) -> bool:
    if field == "activation":
        return isinstance(value, str) and value in ACTIVATIONS
    if field in ("epsilon", "dropout"):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (0 <= value < 1 if field == "dropout" else value > 0)  # type: ignore[operator]
    return _whole(value) and value > 0  # type: ignore[operator]


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def config_of(encoder: Bert, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the configuration that describes a network, as `encoder_of` reads it.

    Args:
      encoder: the network.
      base: the configuration it was made from, whose other entries are kept; None for a network of
        one's own.

    Raises:
      TaskError: if no kind of the family has these fields, or `base` is of another kind.
    """
    kind = "roberta" if encoder.first_position else "bert" if encoder.types else "distilbert"
    config = {"model_type": kind, **(base or {})}
    if encoder.first_position:
        config.setdefault("pad_token_id", encoder.first_position - 1)
    for field, name in FIELDS[config["model_type"]].items():
        config[name] = getattr(encoder, field)
    if encoder.first_position:
        config["max_position_embeddings"] += encoder.first_position
    described = encoder_of(config, "this configuration")
    for field in (*_BERT, "first_position"):
        mine, told = getattr(encoder, field), getattr(described, field)
        if mine != told:
            raise TaskError(
                f"Bert.{field}={mine!r} has no place in a config.json of {config['model_type']}, "
                f"which means {told!r}; give the network that or change its kind."
            )
    return config
