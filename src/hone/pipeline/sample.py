"""The commented recipes that ``hone init`` writes: one for each task of hone's own, and some for a stage."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

from hone.core.errors import RecipeError, did_you_mean
from hone.pipeline.stage_samples import STAGE_SAMPLES
from hone.tasks.table import SETTINGS as TASK_SETTINGS
from hone.tasks.table import TASKS


@dataclass(frozen=True)
class Sample:
    """What of a recipe is its task's own.

    Attributes:
        task: Its settings, as they stand under ``task`` after its name.
        row: One row of ``train``.
        columns: What columns may be called in another file.
        finetune: Settings of the stage, as they stand under it.
    """

    task: str
    row: str
    columns: str
    finetune: str


NEW_WRITER = "num_train_epochs: 20\nlearning_rate: 1e-3\nlabel_smoothing_factor: 0.1\n"  # of a base made from nothing
SAMPLES = {
    "text-classification": Sample(
        task="""\
pooling: mean                # mean suits sentence-embedding bases such as minilm; cls is transformers' own head
max_length: 256              # tokens; leave out for the most the base reads
long_text: truncate          # or window (read whole, in overlapping windows), or refuse
unknown_label: null          # or the label that texts get which none of the others fits
""",
        row='{"text": "where is my parcel", "label": "order_status"}',
        columns="{text: body, label: topic}",
        finetune="num_train_epochs: 5\nlearning_rate: 3e-4\n",
    ),
    "text-pair-classification": Sample(
        task="""\
pooling: mean                # or pair, which compares the two texts; or cls, transformers' own head
max_length: 256              # tokens of both texts together
long_text: truncate          # the longer text first; or refuse
""",
        row='{"text_a": "where is it", "text_b": "I cannot find it", "label": "alike"}',
        columns="{text_a: premise, text_b: hypothesis, label: relation}",
        finetune="num_train_epochs: 3\nlearning_rate: 2e-4\n",
    ),
    "relation-extraction": Sample(
        task="""\
max_length: 128              # tokens; leave out for the most the base reads
long_text: truncate          # what is far from the spans first; or refuse
other: Other                 # the label that means no relation
""",
        row='{"text": "a tin roof", "head": {"start": 2, "end": 5}, "tail": {"start": 6, '
        '"end": 10}, "label": "made of"}',
        columns="{text: sentence, label: relation}",
        finetune="num_train_epochs: 5\nlearning_rate: 3e-4\nhead_learning_rate: 1e-3\n",
    ),
    "question-answering": Sample(
        task="""\
max_length: 384              # tokens of question and context together
long_text: window            # longer contexts are read in overlapping windows; or refuse
stride: 128                  # tokens that neighboring windows share
max_answer_tokens: 30
""",
        row='{"context": "It is Ada.", "question": "Who?", "answers": [{"text": "Ada", "start": 6}]}',
        columns="{context: paragraph, answers: gold}",
        finetune="num_train_epochs: 3\nlearning_rate: 1e-4\nhead_learning_rate: 1e-3\n",
    ),
    "multi-label-classification": Sample(
        task="""\
pooling: mean                # or cls, transformers' own head
loss: bce                    # or focal, for many labels that are rare
# labels: {at_least: 5}      # which labels count: those of so many training rows, or a list; left out: all
max_length: 256              # tokens; leave out for the most the base reads
long_text: truncate          # or window (read whole, in overlapping windows), or refuse
""",
        row='{"text": "late again, but nice people", "labels": ["delivery", "staff"]}',
        columns="{text: body, labels: topics}",
        finetune="num_train_epochs: 4\nlearning_rate: 3e-4\nhead_learning_rate: 3e-3\n",
    ),
    "text-regression": Sample(
        task="""\
pooling: mean                # or cls, transformers' own head
loss: mse                    # or huber or mae, which far misses dominate less
max_length: 256              # tokens; leave out for the most the base reads
long_text: truncate          # or window (read whole, in overlapping windows), or refuse
""",
        row='{"text": "it works", "score": 4.5}',
        columns="{text: body, score: stars}",
        finetune="num_train_epochs: 4\nlearning_rate: 2e-4\n",
    ),
    "text-pair-regression": Sample(
        task="""\
pooling: mean                # or pair, which compares the two texts; or cls, transformers' own head
loss: mse                    # or huber or mae, which far misses dominate less
max_length: 256              # tokens of both texts together
long_text: truncate          # the longer text first; or refuse
""",
        row='{"text_a": "a dog runs", "text_b": "a dog is running", "score": 4.8}',
        columns="{text_a: one, text_b: other, score: similarity}",
        finetune="num_train_epochs: 4\nlearning_rate: 2e-4\n",
    ),
    "sentence-embedding": Sample(
        task="""\
pooling: mean                # or cls
loss: contrastive            # of pairs, or of rows with text and label; or cosine, cosent (with a score), triplet
negatives: given             # or mined: a hard negative for each pair, found before training
max_length: 128              # tokens of a text; leave out for the most the base reads
long_text: truncate          # or refuse
""",
        row='{"text_a": "where is my card", "text_b": "Cards take five days to arrive."}',
        columns="{text_a: question, text_b: passage}",
        finetune="num_train_epochs: 3\nlearning_rate: 1e-4\n",
    ),
    "token-classification": Sample(
        task="""\
head: crf                    # or linear, which transformers opens alone
word_shape: true             # case, digits and endings of words, which an uncased base cannot see
context: 256                 # width of a bidirectional LSTM over the words; 0 for none
long_text: window            # read whole in overlapping windows; or truncate, or refuse
""",
        row='{"tokens": ["Ada", "lives", "in", "Turin"], "tags": ["B-PER", "O", "O", "B-LOC"]}',
        columns="{tokens: words, tags: ner}",
        finetune="num_train_epochs: 4\nlearning_rate: 3e-4\nhead_learning_rate: 1e-3\n",
    ),
    "intent-and-slots": Sample(
        task="""\
head: crf                    # of the slots; or linear
word_shape: false            # true shows case, digits and endings of words, which an uncased base cannot see
slot_weight: 1.0             # of the loss of the slots beside that of the intent
unknown_label: null          # or the intent of requests that none of the others fits
long_text: window            # read whole in overlapping windows; or truncate, or refuse
""",
        row='{"tokens": ["fly", "to", "Rome"], "tags": ["O", "O", "B-city"], "label": "book_flight"}',
        columns="{tokens: words, tags: slots, label: intent}",
        finetune="num_train_epochs: 5\nlearning_rate: 3e-4\nhead_learning_rate: 1e-3\n",
    ),
    "span-classification": Sample(
        task="""\
efficient: true              # false compares the ends of a span by each label's own weights
max_length: 128              # tokens; a window's scores grow with its square
long_text: window            # read whole in overlapping windows; or truncate, or refuse
stride: 64                   # tokens that neighboring windows share; longer entities may be lost
""",
        row='{"text": "Bank of China", "entities": [{"start": 0, "end": 13, "label": "ORG"}, '
        '{"start": 8, "end": 13, "label": "LOC"}]}',
        columns="{text: sentence, entities: spans}",
        finetune="num_train_epochs: 5\nlearning_rate: 2e-4\nhead_learning_rate: 1e-3\n",
    ),
    "multiple-choice": Sample(
        task="""\
max_length: 256              # tokens of a question and one choice together
long_text: truncate          # the longer one first; or refuse
""",
        row='{"question": "What is wet?", "choices": ["sand", "water"], "label": 1}',
        columns="{question: stem, choices: options, label: answer}",
        finetune="num_train_epochs: 3\nlearning_rate: 1e-4\n",
    ),
    "fill-mask": Sample(
        task="""\
max_length: 128              # tokens; left out: as long as the base allows
long_text: window            # read whole in overlapping windows; or truncate, or refuse
mlm_probability: 0.15        # of the tokens, hidden anew in every epoch
whole_word: false            # true: all pieces of a word together
""",
        row='{"text": "The tide comes in twice a day."}',
        columns="{text: body}",
        finetune="num_train_epochs: 5\nlearning_rate: 2e-4\n",
    ),
    "translation": Sample(
        task="""\
max_length: 128              # tokens of a source
long_text: truncate          # or refuse
long_target: refuse          # a longer target is an error; or truncate
decoding: {num_beams: 4, max_new_tokens: 128}
""",
        row='{"source": "A dog runs.", "target": "Ein Hund rennt."}',
        columns="{source: en, target: de}",
        finetune=NEW_WRITER,
    ),
    "summarization": Sample(
        task="""\
max_length: 512              # tokens of a source
long_text: truncate          # or refuse
long_target: refuse          # a longer target is an error; or truncate
decoding: {num_beams: 4, max_new_tokens: 128, no_repeat_ngram_size: 3}
""",
        row='{"source": "The tide comes in twice a day, and ...", "target": "Tides, twice a day"}',
        columns="{source: article, target: highlights}",
        finetune=NEW_WRITER,
    ),
    "text-generation": Sample(
        task="""\
max_length: 256              # tokens of a row, those that are written among them
long_text: truncate          # a longer prompt loses its beginning; or refuse. A whole text is read in windows
decoding: {max_new_tokens: 64, do_sample: true, top_p: 0.9}
""",
        row='{"text": "The tide comes in twice a day."}, or also "prompt", which "text" comes after',
        columns="{prompt: question, text: answer}",
        finetune="num_train_epochs: 10\nlearning_rate: 5e-4\n",
    ),
    "dialogue": Sample(
        task="""\
max_length: 512              # tokens of a row; what does not fit loses whole turns, the oldest first
# system: Answer briefly.    # of conversations that bring no system text
decoding: {max_new_tokens: 64}
""",
        row='{"turns": [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "Hello!"}]}',
        columns="{turns: conversation}",
        finetune="num_train_epochs: 10\nlearning_rate: 5e-4\n",
    ),
}


def _base_lines(task: str) -> str:
    """No look at the task itself: that would load torch."""
    stack = TASK_SETTINGS[task].stack
    if stack != "encoder":
        made = "gpt2" if stack == "decoder" else "bart"
        others = "" if stack == "decoder" else "; t5 likewise"
        return (
            f"base: {{architecture: {made}}}     # made from nothing, its tokenizer learned from train{others}\n"
            f"# base: owner/model            # or a pretrained {stack}: a folder, or a hub id"
        )
    made = "bert" if task == "fill-mask" else "bert, textcnn, bilstm, dan"
    return (
        "base: minilm                   # the embedded default; or a folder; or a hub id such as owner/model\n"
        f"# base: {{architecture: bert}}   # or made from nothing, its tokenizer learned from train: {made}"
    )


def sample_recipe(task: str) -> str:
    """A recipe for ``task``, or for a stage of `STAGE_SAMPLES`, that runs as it stands once the data files are there.

    Raises:
        RecipeError: There is no such task, or it brings no sample.
    """
    if task in STAGE_SAMPLES:
        return STAGE_SAMPLES[task]
    known = sorted([*TASKS, *STAGE_SAMPLES])
    if task == "list":
        return "".join(f"{name}\n" for name in known)
    if task not in TASKS:
        raise RecipeError(f"found the unknown task {task!r}", fix=did_you_mean(task, known), code="recipe.unknown-task")
    if task not in SAMPLES:
        raise RecipeError(
            f"found no sample recipe for the task {task!r}; the package that adds the task brings none",
            expected=f"a task with a sample: {', '.join(SAMPLES)}",
            fix=f"Start from the sample of another task and name {task!r} under task; its package says what it reads.",
            code="recipe.no-sample",
        )
    sample = SAMPLES[task]
    writes = TASK_SETTINGS[task].stack != "encoder"
    others, switches = ("ia3, bitfit", "swa, layer-decay") if writes else ("head, top-n, bitfit", "swa, fgm, mixout")
    return f"""\
# A recipe for {task}. Run it with: hone run recipe.yaml
# Any key can be set on the command line: hone run recipe.yaml stages.0.num_train_epochs=2
version: 1
name: my-{task}
task:
  name: {task}
{indent(sample.task, "  ")}
{_base_lines(task)}
seed: 13                       # same recipe, same data, same seed: the same bundle

data:                          # jsonl, csv, tsv, parquet, conll; relative to this file
  # one row of train.jsonl:  {sample.row}
  train: train.jsonl           # other column names: {{path: train.csv, columns: {sample.columns}}}
  test: test.jsonl             # never seen by training
  # validation: dev.jsonl      # left out: carved from train; none: train on every row
  # drop: [duplicates, leaked] # training rows that stand there twice, or in another split as well

stages:
  - kind: finetune
{indent(sample.finetune, "    ")}    per_device_train_batch_size: 32
    # method: lora             # an adapter beside the base; or {others}; left out: full
    # dropout: 0.1             # left out: the base's own
    # early_stopping_patience: 2
    # techniques: [ema]        # averaged weights; or {switches} and others: docs/guide/recipe.md
    # report_to: [tensorboard] # or mlflow, wandb (kept on this machine)
  - kind: evaluate
"""
