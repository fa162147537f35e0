"""What of the recipe is no check of its own: item, question, public name, command."""

from __future__ import annotations

_COOK = "jrecipe cook digits"
_LOOK = "jrecipe inspect digits --out runs/looked"
_FINETUNE = "jrecipe finetune classify reviews.csv --encoder weights/minilm"


def _only(check: str) -> str:
    return f"jrecipe check digits --only {check}"


# The command is empty where only a function does it.
OTHERS = (
    ("A6", "Which resolution, order, colour or words does it need?", "jr.explore.needs_of", _LOOK),
    ("A7", "Which examples are so and so?", "jr.inspect", _LOOK),
    ("A8", "What is usual along every axis, and what is far from it?", "jr.inspect", _LOOK),
    (
        "A9",
        "Which answers are wrong, and of which was the network surest?",
        "jr.explore.predicted",
        _COOK,
    ),
    (
        "B6",
        "How good is a person at it?",
        "jr.human.make_sheet",
        "jrecipe human digits -n 50",
    ),
    ("C1", "What is the plainest network for this data, and is it large enough?", "jr.cook", _COOK),
    ("C2", "Does Adam at 3e-4 do?", "jr.fit", "jrecipe fit digits --learning-rate 3e-4"),
    ("C3", "Which single change helps by more than the noise over seeds?", "jr.ladder", _COOK),
    (
        "C4",
        "Is the schedule stated in shares of this run?",
        "jr.train.schedules",
        "",
    ),
    ("D1", "What would twice the data bring?", "jr.rungs.learning_curve", ""),
    ("D2", "Does changing the training inputs at random help?", "jr.augment", _COOK),
    (
        "D3",
        "Do examples that were mixed, simulated, generated or pasted help?",
        "jr.augment.mixup",
        "",
    ),
    ("D4", "Do weights that were trained before help?", "jr.models.load_pretrained", ""),
    ("D5", "What to learn first where labels are few?", "jr.finetune.pretrain_task", ""),
    ("D6", "Do smaller inputs do?", "jr.rungs.pictures_of", ""),
    (
        "D7",
        "Does a smaller network do?",
        "jr.models.ConvNet",
        "jrecipe fit digits --network convnet --width 8",
    ),
    (
        "D8",
        "Do smaller batches help?",
        "jr.rungs.batch_of",
        "jrecipe fit digits --batch-size 16",
    ),
    ("D9", "Does dropout help?", "jr.models.Dropout", _COOK),
    ("D10", "Does weight decay help?", "jr.regularize.adamw", _COOK),
    (
        "D11",
        "At which step was the validation loss lowest, and may training stop there?",
        "jr.fit",
        "jrecipe fit digits --patience 3",
    ),
    ("D12", "Is a larger network better, stopped early?", "jr.rungs.larger", ""),
    (
        "E",
        "Which values are best, and by how much for sure?",
        "jr.tune.search",
        "jrecipe tune digits --network mlp --trials 16 --steps 180",
    ),
    (
        "F",
        "What do several networks know that one does not, and can one learn it from them?",
        "jr.squeeze.ensemble",
        "jrecipe ensemble digits --members 5 --steps 500 --distil",
    ),
    ("G2", "Does an output see the target it must predict?", "jr.check", _only("dependencies")),
    (
        "G4",
        "Did the pre-trained weights arrive, with the normalisation they were trained with?",
        "jr.models.load_pretrained",
        "",
    ),
    (
        "G5",
        "Are rate, decay and clipping of the right size?",
        "jr.check",
        _only("optimizer,simplify"),
    ),
    ("G6", "Does a reshape mix the examples of a batch?", "jr.check", _only("dependencies")),
    (
        "G8",
        "Is a softmax applied to what is a distribution already?",
        "jr.check",
        _only("loss-at-init,loss-function,overfit-one-batch"),
    ),
    (
        "G9",
        "Does the softmax run over another axis than that of the classes?",
        "jr.check",
        _only("dependencies,loss-function"),
    ),
    (
        "G10",
        "Does (n, 1) meet (n,) in the loss?",
        "jr.check",
        _only("loss-function,reference-step"),
    ),
    (
        "G11",
        "Is dropout on in evaluation?",
        "jr.check",
        _only("exact-eval,generalise"),
    ),
    (
        "G13",
        "Do frozen layers move, or others stand still?",
        "jr.testing.assert_frozen",
        _only("optimizer,reference-step"),
    ),
    (
        "G16",
        "Is an example of one split in another?",
        "jr.testing.assert_no_leakage",
        "jrecipe inspect digits",
    ),
    ("G17", "Is the file sorted by its target?", "jr.check", _only("shortcuts")),
    (
        "G20",
        "Is the learning rate too high, too low, or gone too early?",
        "jr.train.lr_find",
        _only("prediction-dynamics,optimizer"),
    ),
    ("H1", "Which proven network to start from?", "jr.models.suggest", ""),
    (
        "H2",
        "Is the rate small enough for weights that know something?",
        "jr.finetune.look_back",
        _FINETUNE,
    ),
    ("H3", "Does dropout on inputs and hidden units help?", "jr.models.MLP", ""),
    ("H4", "Do the weights of a unit stay short?", "jr.regularize.max_norm", ""),
    ("H5", "Do the first layers keep every bit?", "jr.train.freeze", ""),
    ("H6", "Is the last layer new, and all else kept?", "jr.finetune.with_head", ""),
    (
        "I",
        "What does each of nine tricks bring on CIFAR-10, over seeds?",
        "jr.ladder",
        "python experiments/cifar10_ladder.py --data FOLDER",
    ),
    ("J1", "What do all weights learn from texts?", "jr.finetune.fine_tune", _FINETUNE),
    (
        "J2",
        "What if the first layers stay as they are?",
        "jr.finetune.strategy",
        f"{_FINETUNE} --strategy freeze-first",
    ),
    (
        "J3",
        "What if layers join from the top, one after another?",
        "jr.train.Unfreezing",
        f"{_FINETUNE} --strategy gradual",
    ),
    (
        "J4",
        "Is a batch in parts the same update as the whole?",
        "jr.testing.assert_accumulation_equivalent",
        "jrecipe fit digits --accumulate 4",
    ),
    (
        "J5",
        "Which task of texts is it: classes, tags, answers, likeness or summaries?",
        "jr.finetune.KINDS",
        "jrecipe finetune tag my_folder --encoder weights/minilm",
    ),
    ("J6", "Are public weights read as they were written?", "jr.finetune.load_pretrained", ""),
    (
        "J7",
        "Was the rate too high, were the epochs too few, was it over-fit?",
        "jr.finetune.sweep",
        f"{_FINETUNE} --sweep",
    ),
    (
        "J8",
        "How small can it get, where does it run, and what does that cost?",
        "jr.squeeze.export",
        "jrecipe export runs/digits --to stablehlo",
    ),
    (
        "J9",
        "What does it say about new files?",
        "jr.finetune.load_finetuned",
        "jrecipe predict runs/digits --split test",
    ),
)
