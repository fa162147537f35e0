"""Texts as the tokens of a pre-trained network (J5, J6)."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jrecipe.finetune.config import FIELDS, encoder_of, read_config
from jrecipe.finetune.folder import tokenizer_files
from jrecipe.finetune.load import PretrainedText
from jrecipe.finetune.t5_names import T5_KINDS, t5_module
from jrecipe.finetune.template import Template, special_count, template_of
from jrecipe.finetune.tokenizer_file import read_core, special_ids
from jrecipe.models.bert import Bert
from jrecipe.models.t5 import T5
from jrecipe.types import TaskError

Truncate = Literal["longest", "second"]


class Encoded(NamedTuple):
    """One text, pair of texts, or window of one, as t tokens without padding.

    Attributes:
      row: index of the text that it is of.
      ids: of the t tokens.
      types: segment of each token.
      sides: 0 for tokens of the first text, 1 of the second, -1 for special tokens.
      offsets: first character of each token in its text, and the one behind its last; (0, 0) for
        special tokens.
      words: index of the word that each token is of; -1 for special tokens.
      length: number of tokens before truncation, special ones included.
      wordless: words that have no token of their own and became the unknown token.
    """

    row: int
    ids: list[int]
    types: list[int]
    sides: list[int]
    offsets: list[tuple[int, int]]
    words: list[int]
    length: int
    wordless: int = 0

    @property
    def cut(self) -> bool:
        """Whether tokens were cut off."""
        return self.length > len(self.ids)


class _Part(NamedTuple):
    """The tokens of one text, no special ones."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    words: list[int]

    def between(self, start: int, end: int) -> _Part:
        return _Part(self.ids[start:end], self.offsets[start:end], self.words[start:end])


@dataclasses.dataclass(frozen=True, eq=False)
class TextTokenizer:
    """A public tokenizer; `read_tokenizer` makes one. Nothing is padded or cut in silence.

    Attributes:
      core: the `tokenizers.Tokenizer`, its own padding and truncation switched off.
      special: ids by role, of those that there are: "pad", "unknown", "first", "separator", "mask",
        "end".
      where: the file it is from, for messages.
      longest: most tokens that the network has positions for; None if there is no such number.
      segments: kinds of segments that the network tells apart; below 2, all types are 0.
    """

    core: Any
    special: Mapping[str, int]
    where: str = "tokenizer"
    longest: int | None = None
    segments: int = 2

    def __repr__(self) -> str:
        return f"TextTokenizer({self.where!r}, vocabulary={self.vocabulary})"

    @functools.cached_property
    def vocabulary(self) -> int:
        """One more than the largest id, added tokens included."""
        return 1 + max(self.core.get_vocab().values(), default=-1)

    @property
    def pad_id(self) -> int:
        """The token that stands at padding."""
        return self.special["pad"]

    @property
    def unknown_id(self) -> int | None:
        """The token of what the tokenizer does not know; None if it knows all."""
        return self.special.get("unknown")

    @property
    def end_id(self) -> int | None:
        """The token behind the last one of a text that is written."""
        return self.special.get("end")

    @functools.cached_property
    def single(self) -> Template:
        """Where special tokens stand around one text."""
        return template_of(self.core, pair=False)

    @functools.cached_property
    def pair(self) -> Template:
        """Where special tokens stand around and between two texts."""
        return template_of(self.core, pair=True)

    def encode(
        self,
        first: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        max_length: int,
        truncate: Truncate = "longest",
    ) -> list[Encoded]:
        """Returns the tokens of texts, or of pairs of texts, with the special ones.

        Args:
          first: n texts.
          second: n texts, for pairs.
          max_length: most tokens, special ones included. What is longer loses its end; see
            `Encoded.cut`.
          truncate: of pairs, "longest" takes tokens from the longer text until both are equally
            long, then from both; "second" takes them from the second text while it has any.

        Raises:
          TaskError: if `max_length` is too small, or above the network's positions, an argument is
            no list of texts, or there is not one second text for each first.
        """
        template = self.single if second is None else self.pair
        room = self._room(template, max_length)
        if truncate not in ("longest", "second"):
            raise TaskError(f"truncate needs 'longest' or 'second', got {truncate!r}.")
        parts = [self._parts(_texts(first, "first"))]
        if second is not None:
            if len(second) != len(first):
                raise TaskError(
                    f"second has {len(second)} texts and first {len(first)}; give one for each."
                )
            parts.append(self._parts(_texts(second, "second")))
        out = []
        for row, sides in enumerate(zip(*parts, strict=True)):
            counts = _shares([len(side.ids) for side in sides], room, truncate)
            kept = [side.between(0, n) for side, n in zip(sides, counts, strict=True)]
            length = max_length - room + sum(len(side.ids) for side in sides)
            out.append(self._joined(row, template, kept, length))
        return out

    def encode_words(self, words: Sequence[Sequence[str]], *, max_length: int) -> list[Encoded]:
        """Returns the tokens of texts that are split into words already.

        A word that has no token, as one of control characters, becomes the unknown token, so that
        every word has a place; `Encoded.wordless` counts them.

        Args:
          words: n texts, each a list of words.
          max_length: most tokens, special ones included.

        Raises:
          TaskError: if `max_length` is too small, or above the network's positions, or something is
            no list of words.
        """
        room = self._room(self.single, max_length)
        space = " " if self._needs_space else ""
        texts = []
        for row, text in enumerate(words):
            if isinstance(text, str) or not all(isinstance(word, str) for word in text):
                raise TaskError(f"words need a list of words per text, got {text!r} in row {row}.")
            texts.append([space + word for word in text])
        out = []
        for row, encoded in enumerate(
            self.core.encode_batch(texts, is_pretokenized=True, add_special_tokens=False)
        ):
            part = _Part(encoded.ids, encoded.offsets, encoded.word_ids)
            whole, added = self._with_every_word(part, len(texts[row]))
            length = max_length - room + len(whole.ids)
            joined = self._joined(row, self.single, [whole.between(0, room)], length)
            out.append(joined._replace(wordless=added))
        return out

    def encode_windows(
        self, questions: Sequence[str], contexts: Sequence[str], *, max_length: int, stride: int
    ) -> list[Encoded]:
        """Returns each question with all of its context, in as many windows as that takes.

        Args:
          questions: n texts. One that takes more than half of the tokens is cut; see `Encoded.cut`.
          contexts: n texts; equal ones are tokenised once.
          max_length: most tokens of a window, special ones included.
          stride: tokens that neighbouring windows have in common; at most half a window's context.

        Raises:
          TaskError: if `max_length` is too small, or above the network's positions, `stride` is
            negative, or there is not one context for each question.
        """
        room = self._room(self.pair, max_length)
        if stride < 0 or isinstance(stride, bool):
            raise TaskError(f"stride needs a number of tokens >= 0, got {stride!r}; try 96.")
        if len(questions) != len(contexts):
            raise TaskError(
                f"contexts are {len(contexts)} for {len(questions)} questions; give one for each."
            )
        asked = self._parts(_texts(questions, "questions"))
        different = list(dict.fromkeys(_texts(contexts, "contexts")))
        held = dict(zip(different, self._parts(different), strict=True))
        out = []
        for row, (question, text) in enumerate(zip(asked, contexts, strict=True)):
            lost = max(0, len(question.ids) - room // 2)
            question = question.between(0, room // 2)
            context, size = held[text], room - len(question.ids)
            step = size - min(stride, size // 2)
            last = max(len(context.ids) - size, 0)
            for start in range(0, last + step, step):
                parts = [question, context.between(start, start + size)]
                joined = self._joined(row, self.pair, parts, 0)
                out.append(joined._replace(length=len(joined.ids) + lost))
        return out

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of tokens, without the special ones."""
        return str(self.core.decode([int(token) for token in ids], skip_special_tokens=True))

    def _room(self, template: Template, max_length: int) -> int:
        """Returns how many tokens of texts fit, or says why there are none."""
        least = special_count(template) + sum(piece.side >= 0 for piece in template)
        if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < least:
            raise TaskError(
                f"max_length needs a whole number of at least {least} tokens, special ones "
                f"included, got {max_length!r}; try 128."
            )
        if self.longest is not None and max_length > self.longest:
            raise TaskError(
                f"max_length={max_length} is above the {self.longest} positions of the network; "
                f"give at most {self.longest}."
            )
        return max_length - special_count(template)

    def _parts(self, texts: list[str]) -> list[_Part]:
        encoded = self.core.encode_batch(texts, add_special_tokens=False)
        return [_Part(each.ids, each.offsets, each.word_ids) for each in encoded]

    def _joined(self, row: int, template: Template, parts: list[_Part], length: int) -> Encoded:
        """Returns the parts with the special tokens of a template."""
        out = Encoded(row, [], [], [], [], [], length)
        for side, token, segment in template:
            part = _Part([token], [(0, 0)], [-1]) if side < 0 else parts[side]
            n = len(part.ids)
            out.ids.extend(part.ids)
            out.types.extend([segment if self.segments > 1 else 0] * n)
            out.sides.extend([side] * n)
            out.offsets.extend(part.offsets)
            out.words.extend(part.words)
        return out

    def _with_every_word(self, part: _Part, count: int) -> tuple[_Part, int]:
        """Returns the part with a token for each of `count` words, and how many were added."""
        absent = set(range(count)) - set(part.words)
        if not absent:
            return part, 0
        token = self.special.get("unknown", self.pad_id)
        columns = list(zip(part.ids, part.offsets, part.words, strict=True))
        columns += [(token, (0, 0), word) for word in absent]
        columns.sort(key=lambda column: column[2])  # stable: tokens of a word keep their order
        ids, offsets, words = (list(column) for column in zip(*columns, strict=True))
        return _Part(ids, offsets, words), len(absent)

    @functools.cached_property
    def _needs_space(self) -> bool:
        """Whether a word inside a text is another token than one at its start, as for RoBERTa."""
        stored = json.loads(self.core.to_str())["pre_tokenizer"] or {}
        steps = stored.get("pretokenizers", [stored])
        return any(s.get("type") == "ByteLevel" and not s.get("add_prefix_space") for s in steps)


def read_tokenizer(source: PretrainedText | str | Path) -> TextTokenizer:
    """Reads the tokenizer that belongs to a pre-trained network.

    It is taken from `tokenizer.json`, else from `vocab.txt` (WordPiece, as BERT has it), else from
    `spiece.model` (SentencePiece, as T5 has it). Padding and truncation that `tokenizer.json` asks
    for are switched off.

    Args:
      source: what `load_pretrained` returned, or a folder; if it holds `config.json`, the network
        that it describes is what the tokenizer has to fit.

    Raises:
      TaskError: if there is no tokenizer or it is damaged, it has no token for padding, or its ids
        exceed the network's vocabulary.
    """
    if isinstance(source, PretrainedText):
        folder, files = source.folder, dict(source.tokenizer_files)
        module: Bert | T5 | None = source.module
        config = source.config
    else:
        folder = Path(source)
        files = tokenizer_files(folder)
        config = read_config(folder) if (folder / "config.json").is_file() else {}
        module = _network(config, folder)
    core, where = read_core(files, folder)
    return tokenizer_for(core, module, special=special_ids(core, files, config), where=str(where))


def tokenizer_for(
    core: Any,
    module: Bert | T5 | None = None,
    *,
    special: Mapping[str, int] | None = None,
    where: str = "tokenizer",
) -> TextTokenizer:
    """Returns a tokenizer of one's own for a network.

    Args:
      core: a `tokenizers.Tokenizer`; it is not copied, and its padding and truncation are switched
        off.
      module: the network whose vocabulary and positions it has to fit; None to check nothing.
      special: ids by role, see `TextTokenizer`; None to look for tokens of the usual names.
      where: what messages call it.

    Raises:
      TaskError: if it has no token for padding, or its ids exceed the network's vocabulary.
    """
    core.no_padding()
    core.no_truncation()
    found = special_ids(core, {}, {}) if special is None else dict(special)
    if "pad" not in found:
        raise TaskError(
            f"{where} has no padding token; name it as pad_token in tokenizer_config.json."
        )
    longest = module.length if isinstance(module, Bert) else None
    segments = module.types if isinstance(module, Bert) else 2
    tokenizer = TextTokenizer(core, found, where, longest, segments)
    if module is not None and tokenizer.vocabulary > module.vocabulary:
        raise TaskError(
            f"{where} has ids up to {tokenizer.vocabulary - 1}, but the network's vocabulary is "
            f"{module.vocabulary}; give the tokenizer that the network was trained with."
        )
    return tokenizer


def _network(config: Mapping[str, Any], folder: Path) -> Bert | T5 | None:
    """Returns the network that a folder's configuration describes, if it is a known one."""
    if config.get("model_type") in T5_KINDS:
        return t5_module(config)
    if config.get("model_type") in FIELDS:
        return encoder_of(config, str(folder / "config.json"))
    return None


def _texts(texts: Sequence[str], name: str) -> list[str]:
    if isinstance(texts, str):
        raise TaskError(f"{name} need a list of texts, got one text; put it into a list.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TaskError(f"{name} need texts, got {text!r} in row {row}.")
    return list(texts)


def _shares(lengths: list[int], room: int, truncate: Truncate) -> list[int]:
    """Returns how many tokens of each text are kept, `room` at most in all."""
    if sum(lengths) <= room or len(lengths) == 1:
        return [min(n, room) for n in lengths]
    first, second = lengths
    if truncate == "second":
        first = min(first, room)
    elif first <= second:
        first = min(first, room // 2)
    else:
        first = room - min(second, room // 2)
    return [first, room - first]
