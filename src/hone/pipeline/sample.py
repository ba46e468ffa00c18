"""The commented recipes that ``hone init TASK`` writes: one for each task of hone's own."""

from __future__ import annotations

from hone.core.errors import RecipeError, did_you_mean
from hone.tasks.table import SETTINGS as TASK_SETTINGS
from hone.tasks.table import TASKS

TASK_LINES = {
    "text-classification": """\
task:
  name: text-classification
  pooling: mean                # mean suits sentence-embedding bases such as minilm; cls is transformers' own head
  max_length: 256              # tokens; leave out for the most the base reads
  long_text: truncate          # or window (read whole, in overlapping windows), or refuse
  unknown_label: null          # or the label that texts get which none of the others fits
""",
    "text-pair-classification": """\
task:
  name: text-pair-classification
  pooling: mean                # or cls, transformers' own head
  max_length: 256              # tokens of both texts together
  long_text: truncate          # the longer text first; or refuse
""",
    "relation-extraction": """\
task:
  name: relation-extraction
  max_length: 128              # tokens; leave out for the most the base reads
  long_text: truncate          # what is far from the spans first; or refuse
  other: Other                 # the label that means no relation
""",
    "question-answering": """\
task:
  name: question-answering
  max_length: 384              # tokens of question and context together
  long_text: window            # longer contexts are read in overlapping windows; or refuse
  stride: 128                  # tokens that neighboring windows share
  max_answer_tokens: 30
""",
    "multi-label-classification": """\
task:
  name: multi-label-classification
  pooling: mean                # or cls, transformers' own head
  loss: bce                    # or focal, for many labels that are rare
  # labels: {at_least: 5}      # which labels count: those of so many training rows, or a list; left out: all
  max_length: 256              # tokens; leave out for the most the base reads
  long_text: truncate          # or window (read whole, in overlapping windows), or refuse
""",
    "text-regression": """\
task:
  name: text-regression
  pooling: mean                # or cls, transformers' own head
  loss: mse                    # or huber or mae, which far misses dominate less
  max_length: 256              # tokens; leave out for the most the base reads
  long_text: truncate          # or window (read whole, in overlapping windows), or refuse
""",
    "text-pair-regression": """\
task:
  name: text-pair-regression
  pooling: mean                # or cls, transformers' own head
  loss: mse                    # or huber or mae, which far misses dominate less
  max_length: 256              # tokens of both texts together
  long_text: truncate          # the longer text first; or refuse
""",
    "sentence-embedding": """\
task:
  name: sentence-embedding
  pooling: mean                # or cls
  loss: contrastive            # of pairs, or of rows with text and label; or cosine, cosent (with a score), triplet
  negatives: given             # or mined: a hard negative for each pair, found before training
  max_length: 128              # tokens of a text; leave out for the most the base reads
  long_text: truncate          # or refuse
""",
    "token-classification": """\
task:
  name: token-classification
  head: crf                    # or linear, which transformers opens alone
  word_shape: true             # case, digits and endings of words, which an uncased base cannot see
  context: 256                 # width of a bidirectional LSTM over the words; 0 for none
  long_text: window            # read whole in overlapping windows; or truncate, or refuse
""",
    "intent-and-slots": """\
task:
  name: intent-and-slots
  head: crf                    # of the slots; or linear
  word_shape: false            # true shows case, digits and endings of words, which an uncased base cannot see
  slot_weight: 1.0             # of the loss of the slots beside that of the intent
  unknown_label: null          # or the intent of requests that none of the others fits
  long_text: window            # read whole in overlapping windows; or truncate, or refuse
""",
    "span-classification": """\
task:
  name: span-classification
  efficient: true              # false compares the ends of a span by each label's own weights
  max_length: 128              # tokens; a window's scores grow with its square
  long_text: window            # read whole in overlapping windows; or truncate, or refuse
  stride: 64                   # tokens that neighboring windows share; longer entities may be lost
""",
    "multiple-choice": """\
task:
  name: multiple-choice
  max_length: 256              # tokens of a question and one choice together
  long_text: truncate          # the longer one first; or refuse
""",
    "fill-mask": """\
task:
  name: fill-mask
  max_length: 128              # tokens; left out: as long as the base allows
  long_text: window            # read whole in overlapping windows; or truncate, or refuse
  mlm_probability: 0.15        # of the tokens, hidden anew in every epoch
  whole_word: false            # true: all pieces of a word together
""",
    "translation": """\
task:
  name: translation
  max_length: 128              # tokens of a source
  long_text: truncate          # or refuse
  long_target: refuse          # a longer target is an error; or truncate
  decoding: {num_beams: 4, max_new_tokens: 128}
""",
    "summarization": """\
task:
  name: summarization
  max_length: 512              # tokens of a source
  long_text: truncate          # or refuse
  long_target: refuse          # a longer target is an error; or truncate
  decoding: {num_beams: 4, max_new_tokens: 128, no_repeat_ngram_size: 3}
""",
    "text-generation": """\
task:
  name: text-generation
  max_length: 256              # tokens of a row, those that are written among them
  long_text: truncate          # a longer prompt loses its beginning; or refuse. A whole text is read in windows
  decoding: {max_new_tokens: 64, do_sample: true, top_p: 0.9}
""",
}

ROWS = {
    "text-classification": '{"text": "where is my parcel", "label": "order_status"}',
    "text-pair-classification": '{"text_a": "where is it", "text_b": "I cannot find it", "label": "alike"}',
    "relation-extraction": '{"text": "a tin roof", "head": {"start": 2, "end": 5}, "tail": {"start": 6, "end": 10}, '
    '"label": "made of"}',
    "question-answering": '{"context": "It is Ada.", "question": "Who?", "answers": [{"text": "Ada", "start": 6}]}',
    "multi-label-classification": '{"text": "late again, but nice people", "labels": ["delivery", "staff"]}',
    "text-regression": '{"text": "it works", "score": 4.5}',
    "text-pair-regression": '{"text_a": "a dog runs", "text_b": "a dog is running", "score": 4.8}',
    "sentence-embedding": '{"text_a": "where is my card", "text_b": "Cards take five days to arrive."}',
    "token-classification": '{"tokens": ["Ada", "lives", "in", "Turin"], "tags": ["B-PER", "O", "O", "B-LOC"]}',
    "intent-and-slots": '{"tokens": ["fly", "to", "Rome"], "tags": ["O", "O", "B-city"], "label": "book_flight"}',
    "span-classification": '{"text": "Bank of China", "entities": [{"start": 0, "end": 13, "label": "ORG"}, '
    '{"start": 8, "end": 13, "label": "LOC"}]}',
    "multiple-choice": '{"question": "What is wet?", "choices": ["sand", "water"], "label": 1}',
    "fill-mask": '{"text": "The tide comes in twice a day."}',
    "translation": '{"source": "A dog runs.", "target": "Ein Hund rennt."}',
    "summarization": '{"source": "The tide comes in twice a day, and ...", "target": "Tides, twice a day"}',
    "text-generation": '{"text": "The tide comes in twice a day."}, or also "prompt", which "text" comes after',
}

COLUMNS = {
    "text-classification": "{text: body, label: topic}",
    "text-pair-classification": "{text_a: premise, text_b: hypothesis, label: relation}",
    "relation-extraction": "{text: sentence, label: relation}",
    "question-answering": "{context: paragraph, answers: gold}",
    "multi-label-classification": "{text: body, labels: topics}",
    "text-regression": "{text: body, score: stars}",
    "text-pair-regression": "{text_a: one, text_b: other, score: similarity}",
    "sentence-embedding": "{text_a: question, text_b: passage}",
    "token-classification": "{tokens: words, tags: ner}",
    "intent-and-slots": "{tokens: words, tags: slots, label: intent}",
    "span-classification": "{text: sentence, entities: spans}",
    "multiple-choice": "{question: stem, choices: options, label: answer}",
    "fill-mask": "{text: body}",
    "translation": "{source: en, target: de}",
    "summarization": "{source: article, target: highlights}",
    "text-generation": "{prompt: question, text: answer}",
}

NEW_WRITER = "    num_train_epochs: 20\n    learning_rate: 1e-3\n    label_smoothing_factor: 0.1\n"
SETTINGS = {
    "text-classification": "    num_train_epochs: 5\n    learning_rate: 3e-4\n",
    "text-pair-classification": "    num_train_epochs: 3\n    learning_rate: 2e-4\n",
    "relation-extraction": "    num_train_epochs: 5\n    learning_rate: 3e-4\n    head_learning_rate: 1e-3\n",
    "question-answering": "    num_train_epochs: 3\n    learning_rate: 1e-4\n    head_learning_rate: 1e-3\n",
    "multi-label-classification": "    num_train_epochs: 4\n    learning_rate: 3e-4\n    head_learning_rate: 3e-3\n",
    "text-regression": "    num_train_epochs: 4\n    learning_rate: 2e-4\n",
    "text-pair-regression": "    num_train_epochs: 4\n    learning_rate: 2e-4\n",
    "sentence-embedding": "    num_train_epochs: 3\n    learning_rate: 1e-4\n",
    "token-classification": "    num_train_epochs: 4\n    learning_rate: 3e-4\n    head_learning_rate: 1e-3\n",
    "intent-and-slots": "    num_train_epochs: 5\n    learning_rate: 3e-4\n    head_learning_rate: 1e-3\n",
    "span-classification": "    num_train_epochs: 5\n    learning_rate: 2e-4\n    head_learning_rate: 1e-3\n",
    "multiple-choice": "    num_train_epochs: 3\n    learning_rate: 1e-4\n",
    "fill-mask": "    num_train_epochs: 5\n    learning_rate: 2e-4\n",
    "translation": NEW_WRITER,
    "summarization": NEW_WRITER,
    "text-generation": "    num_train_epochs: 10\n    learning_rate: 5e-4\n",
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
    """A recipe for ``task`` that runs as it stands once the data files are there.

    Raises:
        RecipeError: There is no such task, or it brings no sample.
    """
    if task == "list":
        return "".join(f"{name}\n" for name in TASKS)
    if task not in TASKS:
        raise RecipeError(f"found the unknown task {task!r}", fix=did_you_mean(task, TASKS), code="recipe.unknown-task")
    if task not in TASK_LINES:
        raise RecipeError(
            f"found no sample recipe for the task {task!r}; the package that adds the task brings none",
            expected=f"a task with a sample: {', '.join(TASK_LINES)}",
            fix=f"Start from the sample of another task and name {task!r} under task; its package says what it reads.",
            code="recipe.no-sample",
        )
    return f"""\
# A recipe for {task}. Run it with: hone run recipe.yaml
# Any key can be set on the command line: hone run recipe.yaml stages.0.num_train_epochs=2
version: 1
name: my-{task}
{TASK_LINES[task]}
{_base_lines(task)}
seed: 13                       # same recipe, same data, same seed: the same bundle

data:                          # jsonl, csv, tsv, parquet, conll; relative to this file
  # one row of train.jsonl:  {ROWS[task]}
  train: train.jsonl           # other column names: {{path: train.csv, columns: {COLUMNS[task]}}}
  test: test.jsonl             # never seen by training
  # validation: dev.jsonl      # left out: carved from train; none: train on every row
  # drop: [duplicates, leaked] # training rows that stand there twice, or in another split as well

stages:
  - kind: finetune
{SETTINGS[task]}    per_device_train_batch_size: 32
    # method: lora             # an adapter beside the base; or head, top-n, bitfit; left out: full
    # dropout: 0.1             # left out: the base's own
    # early_stopping_patience: 2
    # techniques: [ema]        # averaged weights; or r-drop, fgm, mixout and others: docs/guide/recipe.md
    # report_to: [tensorboard] # or mlflow, wandb (kept on this machine)
  - kind: evaluate
"""
