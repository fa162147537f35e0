"""The files of a public tokenizer, read as one `tokenizers.Tokenizer`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jrecipe.types import TaskError, one_line

# Role -> its name in the files, and what it is usually called.
_ROLES = {
    "pad": ("pad_token", ("[PAD]", "<pad>")),
    "unknown": ("unk_token", ("[UNK]", "<unk>")),
    "first": ("cls_token", ("[CLS]", "<s>")),
    "separator": ("sep_token", ("[SEP]", "</s>")),
    "mask": ("mask_token", ("[MASK]", "<mask>")),
    "end": ("eos_token", ("</s>",)),
}


def read_core(files: Mapping[str, Path], folder: Path) -> tuple[Any, Path]:
    """Returns the `tokenizers.Tokenizer` of a folder, and the file that it is from.

    Args:
      files: the tokenizer's files by name.
      folder: where they are, for messages.

    Raises:
      TaskError: if none of the known files is there, one is damaged, or a package is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise TaskError(
            f"{folder}: reading a tokenizer needs the package tokenizers; "
            "pip install 'jrecipe[finetune]'."
        ) from error
    for name, read in (("vocab.txt", _word_pieces), ("spiece.model", _sentence_pieces)):
        if "tokenizer.json" not in files and name in files:
            return read(files[name], _settings(files)), files[name]
    if "tokenizer.json" not in files:
        raise TaskError(
            f"{folder} has no tokenizer.json, vocab.txt or spiece.model; fetch the files of the "
            "tokenizer too."
        )
    path = files["tokenizer.json"]
    try:
        return Tokenizer.from_file(str(path)), path
    except Exception as error:
        if type(error) is not Exception:  # the library raises nothing narrower for a bad file
            raise
        raise TaskError(
            f"{path} is no tokenizer ({one_line(str(error))}); fetch it again."
        ) from error


def special_ids(core: Any, files: Mapping[str, Path], config: Mapping[str, Any]) -> dict[str, int]:
    """Returns the ids of the special tokens by role, of those that there are.

    Args:
      core: a `tokenizers.Tokenizer`.
      files: the tokenizer's files by name, of which `tokenizer_config.json` and
        `special_tokens_map.json` are read.
      config: of the network, whose `pad_token_id` is used where no token is named.
    """
    named = {**_read_json(files.get("tokenizer_config.json"))}
    named |= _read_json(files.get("special_tokens_map.json"))
    found: dict[str, int] = {}
    for role, (key, usual) in _ROLES.items():
        token = named.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        names = (token,) if isinstance(token, str) else usual
        ids = [i for i in map(core.token_to_id, names) if i is not None]
        if ids:
            found[role] = ids[0]
    pad = config.get("pad_token_id")
    if "pad" not in found and isinstance(pad, int) and not isinstance(pad, bool):
        found["pad"] = pad
    return found


def _settings(files: Mapping[str, Path]) -> dict[str, Any]:
    return _read_json(files.get("tokenizer_config.json"))


def _read_json(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskError(f"{path} is no JSON ({error}); fetch it again.") from error
    if not isinstance(stored, dict):
        raise TaskError(f"{path} holds no JSON object; fetch it again.")
    return stored


def _word_pieces(path: Path, settings: Mapping[str, Any]) -> Any:
    """Returns the tokenizer of BERT from its list of pieces, one a line."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is not UTF-8; fetch it again.") from error
    vocabulary = {line.rstrip("\r"): i for i, line in enumerate(lines)}
    if not lines[-1]:
        vocabulary.pop("", None)
    names = {key: _name(settings, key, usual[0]) for key, usual in _ROLES.values()}
    first, last, unknown = (names[key] for key in ("cls_token", "sep_token", "unk_token"))
    absent = [name for name in (first, last, unknown) if name not in vocabulary]
    if absent:
        raise TaskError(
            f"{path} has no line {absent[0]!r}; name the special tokens in tokenizer_config.json, "
            "or fetch the file again."
        )
    core = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100))
    core.normalizer = normalizers.BertNormalizer(
        lowercase=bool(settings.get("do_lower_case", True)),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
    )
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    special = [name for name in names.values() if name in vocabulary]
    core.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    return core


def _sentence_pieces(path: Path, settings: Mapping[str, Any]) -> Any:
    """Returns the tokenizer of T5 from its SentencePiece model."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
    from tokenizers.pre_tokenizers import Metaspace
    from tokenizers.processors import TemplateProcessing

    try:
        from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
    except ImportError as error:
        raise TaskError(
            f"{path} needs the packages sentencepiece and protobuf; "
            "pip install 'jrecipe[finetune]'."
        ) from error
    raw = path.read_bytes()
    try:
        SentencePieceProcessor(model_proto=raw)
    except RuntimeError as error:
        raise TaskError(f"{path} is no SentencePiece model; fetch it again.") from error
    messages: Any = sentencepiece_model_pb2
    stored = messages.ModelProto.FromString(raw)
    trained, spec = stored.trainer_spec, stored.normalizer_spec
    if trained.model_type != trained.UNIGRAM:
        raise TaskError(f"{path} is no unigram model, as T5's is; give its tokenizer.json.")
    kinds = stored.SentencePiece
    pieces = [(piece.piece, piece.score) for piece in stored.pieces]
    core = Tokenizer(
        models.Unigram(pieces, unk_id=trained.unk_id, byte_fallback=trained.byte_fallback)
    )
    charsmap = spec.precompiled_charsmap
    steps: list[Any] = [normalizers.Precompiled(charsmap)] if charsmap else []
    steps.append(normalizers.Strip(left=True, right=True))
    steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    core.normalizer = normalizers.Sequence(steps)
    core.pre_tokenizer = Metaspace(replacement="▁", prepend_scheme="always")
    core.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    end = _name(settings, "eos_token", "</s>")
    control = [p.piece for p in stored.pieces if p.type in (kinds.CONTROL, kinds.UNKNOWN)]
    core.add_special_tokens([AddedToken(name, normalized=False) for name in control])
    extra = int(settings.get("extra_ids", 100))  # sentinels of pre-training, the last one first
    sentinels = [f"<extra_id_{i}>" for i in reversed(range(extra))]
    core.add_special_tokens([AddedToken(name, normalized=False) for name in sentinels])
    if core.token_to_id(end) is None:
        raise TaskError(f"{path} has no end token {end!r}; name it in tokenizer_config.json.")
    core.post_processor = TemplateProcessing(
        single=f"$A {end}",
        pair=f"$A {end} $B {end}",
        special_tokens=[(end, core.token_to_id(end))],
    )
    return core


def _name(settings: Mapping[str, Any], key: str, usual: str) -> str:
    token = settings.get(key, usual)
    token = token.get("content", usual) if isinstance(token, dict) else token
    return token if isinstance(token, str) else usual
