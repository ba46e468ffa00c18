"""Commented recipes for stages that the sample of a task does not show; `hone.pipeline.sample` hands them out."""

from __future__ import annotations

PRETRAIN = """\
# A recipe for a base from text that nobody labeled. Run it with: hone run recipe.yaml
# The base, runs/my-base/bundle, is then named by another recipe: base: runs/my-base/bundle
version: 1
name: my-base
base: minilm                   # goes on learning; or a folder, or a hub id
# base: {architecture: bert}   # or made from nothing, its tokenizer learned from the corpus; gpt2, bart, t5 likewise
seed: 13

data:
  corpus:
    path: corpus/*.jsonl       # files of text, JSON lines or parquet
    text: text                 # the column that holds the text
    # document: book           # a column: rows that follow one another under one name are one document
  # held_out: dev.jsonl        # left out: carved from the corpus; none: train on all of it

stages:
  - kind: pretrain
    objective: mlm             # for encoders also sop, nsp, rtd, contrastive, vae, aae; or several: [mlm, sop]
    # objective: clm           # for gpt2; span-corruption or denoising for t5 and bart
    num_train_epochs: 1
    learning_rate: 5e-4
    per_device_train_batch_tokens: 8192
"""

WRITES = """\
task:
  name: text-generation        # or dialogue, translation, summarization: hone init NAME shows its settings
  max_length: 256              # tokens of a row, those that are written among them
  decoding: {max_new_tokens: 64}
base: {architecture: gpt2}     # made from nothing, its tokenizer learned from train; llama likewise
# base: owner/model            # or a pretrained decoder: a folder, or a hub id
seed: 13
"""
LEARNS = """\
  - kind: finetune
    num_train_epochs: 10
    learning_rate: 5e-4
"""

PREFER = f"""\
# A recipe for a model that writes and then learns from pairs which of two texts is better.
# Run it with: hone run recipe.yaml. From a bundle that is there: hone prefer BUNDLE pairs.jsonl --out FOLDER
version: 1
name: my-preferred
{WRITES}
data:
  # one row of train.jsonl:  {{"prompt": "Where is my parcel?", "text": " On its way."}}
  train: train.jsonl
  # one row of pairs.jsonl:  {{"prompt": "Where is it?", "chosen": " On its way.", "rejected": " No."}}
  pairs: pairs.jsonl           # chosen and rejected may be whole conversations, too: docs/guide/preferences.md
  test_pairs: test-pairs.jsonl
  # validation_pairs: none     # left out: carved from pairs

stages:
{LEARNS}\
  - kind: prefer
    loss: dpo                  # or ipo, unlikelihood; {{name: dpo, beta: 0.1}}: the smaller, the further it may go
    sft_weight: 0.1            # how much chosen is learned besides, so that it does not become less likely itself
    learning_rate: 5e-5        # a tenth of what the model was trained at; of a pretrained base 2e-5 or less
    # method: lora             # an adapter beside the tuned model; left out: full
  - kind: evaluate             # beside the bundle that prefer began with
    on: test_pairs
"""

REINFORCE = f"""\
# A recipe for a small model that writes and then learns from a reward: what another bundle says of its texts.
# Run it with: hone run recipe.yaml. From a bundle that is there: hone reinforce BUNDLE prompts.jsonl --reward BUNDLE
version: 1
name: my-rewarded
{WRITES}
data:
  # one row of train.jsonl:    {{"prompt": "Where is my parcel?", "text": " On its way."}}
  train: train.jsonl
  # one row of prompts.jsonl:  {{"prompt": "Where is it?"}}
  unlabeled: prompts.jsonl

stages:
{LEARNS}\
  - kind: reinforce
    reward: runs/my-tone/bundle  # labels texts, or gives them a number; relative to this file
    label: polite              # whose probability is the reward; leave out where the bundle gives numbers
    samples: 4                 # texts drawn for each prompt, each judged beside the others
    beta: 0.05                 # what leaving the parent costs: the smaller, the further it may go
    learning_rate: 5e-5
"""

STAGE_SAMPLES = {"pretrain": PRETRAIN, "prefer": PREFER, "reinforce": REINFORCE}
