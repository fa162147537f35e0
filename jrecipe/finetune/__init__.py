"""Fine-tuning of BERT and T5 from public weight files (RECIPE J).

| for | names |
| --- | --- |
| folders of public weights (J6, J9) | `load_pretrained`, `write_encoder` |
| from rows of text to answers (J5, J9) | `fine_tune`, `Plan`, `Classify`, ..., `load_finetuned` |
| files of texts and tokenizers | `read_splits`, `read_rows`, `read_tokenizer` |
| which parameters learn, how fast (J1-J3) | `strategy`, `choose_strategy`, `lora`, `merge_lora` |
| pitfalls (J7) | `text_findings`, `look_back`, `pitfalls_of`, `sweep` |
| pre-training on one's own texts (D5) | `train_tokenizer`, `pretrain_task`, `write_pretrained` |
| a task's network that starts from them; a new head (D4, H6) | `start_from`, `with_head` |
| writing texts with `jr.models.T5` | `greedy`, `beam_search` |
| scores of a whole split (J5) | `class_scores`, `entity_scores`, `answer_scores`, ... |
"""

from jrecipe.finetune.beam import beam_search
from jrecipe.finetune.choice import choose_strategy
from jrecipe.finetune.folder import write_encoder
from jrecipe.finetune.generation import Generated
from jrecipe.finetune.greedy import greedy
from jrecipe.finetune.head_swap import with_head
from jrecipe.finetune.hindsight import Pitfall, look_back, pitfalls_of
from jrecipe.finetune.kinds import KINDS, Answer, Classify, Kind, Similar, Summarise, Tag
from jrecipe.finetune.load import PretrainedText, load_pretrained
from jrecipe.finetune.lora import lora, merge_lora
from jrecipe.finetune.pitfalls import text_findings
from jrecipe.finetune.predictor import Predictor, load_finetuned
from jrecipe.finetune.pretraining import pretrain_task, write_pretrained
from jrecipe.finetune.row_splits import read_splits
from jrecipe.finetune.rows import read_rows
from jrecipe.finetune.scores import (
    AnswerScores,
    ClassScores,
    Correlation,
    EntityScores,
    SummaryScores,
    answer_scores,
    class_scores,
    correlation,
    entity_scores,
    summary_scores,
)
from jrecipe.finetune.start import start_from
from jrecipe.finetune.strategies import Strategy, strategy
from jrecipe.finetune.sweep import Sweep, sweep
from jrecipe.finetune.tokenizer import TextTokenizer, read_tokenizer
from jrecipe.finetune.train_tokenizer import train_tokenizer
from jrecipe.finetune.tuning import FineTuned, Plan, fine_tune

__all__ = [
    "KINDS",
    "Answer",
    "AnswerScores",
    "ClassScores",
    "Classify",
    "Correlation",
    "EntityScores",
    "FineTuned",
    "Generated",
    "Kind",
    "Pitfall",
    "Plan",
    "Predictor",
    "PretrainedText",
    "Similar",
    "Strategy",
    "Summarise",
    "SummaryScores",
    "Sweep",
    "Tag",
    "TextTokenizer",
    "answer_scores",
    "beam_search",
    "choose_strategy",
    "class_scores",
    "correlation",
    "entity_scores",
    "fine_tune",
    "greedy",
    "load_finetuned",
    "load_pretrained",
    "look_back",
    "lora",
    "merge_lora",
    "pitfalls_of",
    "pretrain_task",
    "read_rows",
    "read_splits",
    "read_tokenizer",
    "start_from",
    "strategy",
    "summary_scores",
    "sweep",
    "text_findings",
    "train_tokenizer",
    "with_head",
    "write_encoder",
    "write_pretrained",
]
