"""What else writes by a bundle: transformers' ``generate``, and its text-generation pipeline, which is for decoders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import transformers
from torch import Tensor

from hone.bench.examples import Example
from hone.bench.padding import padded_in_batches
from hone.core.progress import Progress
from hone.data.turns import COLUMNS, conversations_in
from hone.models.quiet import quiet_loading
from hone.predict.engine import TorchEngine
from hone.predict.formats import SAFETENSORS
from hone.predict.generation.loop import padded
from hone.predict.given import columns_of
from hone.predict.predictor import Predictor, weights_format
from hone.tasks.rows import IntArray, Rows
from hone.tasks.writing_settings import WritingSettings
from hone.tasks.written import WrittenText

OTHERWISE = ("penalty_alpha", "regex", "json_schema", "stop_strings", "required_words", "bad_words")
BEAMED, DRAWN = ("length_penalty", "early_stopping"), ("temperature", "top_k", "top_p", "min_p")
COMMON = ("max_new_tokens", "num_beams", "num_return_sequences", "do_sample", "repetition_penalty",
          "no_repeat_ngram_size")  # fmt: skip


class Generate:
    """transformers' ``generate`` on the tokens that hone's own model reads, each batch padded to its longest."""

    name = "transformers generate"

    def __init__(self, predictor: Predictor, model: Any) -> None:
        self._predictor, self._model = predictor, model
        self._task, self.device = cast(WrittenText, predictor.task), model.device.type
        self._continues = not model.config.is_encoder_decoder

    def answer(self, texts: Sequence[Example], *, batch: int) -> Any:
        """The tokens of each text that it writes, those that were asked for beside it among them."""
        prompts, found = prompts_of(self._predictor, texts), list[list[int]]()
        for at in range(0, len(prompts), batch):
            ids, mask = padded(prompts[at : at + batch])
            if self._continues:
                ids, mask = _padded_before(ids, mask)
            device = self._model.device
            rows = self._model.generate(ids.to(device), attention_mask=mask.to(device))
            begin = ids.shape[1] if self._continues else 1
            found += [_until_its_end(row, self._task) for row in rows[:, begin:].tolist()]
        self._task.tokenizer.decode(found)  # who asks wants texts
        return found

    def written(self, found: Any) -> int:
        return sum(map(len, found))

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        return padded_in_batches(lengths, batch=batch)


class _Counting(transformers.TextGenerationPipeline):  # type: ignore[misc]
    """The pipeline, keeping the tokens that it makes texts of."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.rows: list[list[int]] = []

    def _forward(self, model_inputs: Any, **options: Any) -> Any:
        found = super()._forward(model_inputs, **options)
        begin = found["input_ids"].shape[1]
        self.rows += found["generated_sequence"][:, :, begin:].flatten(0, 1).tolist()
        return found


class TextPipeline:
    """transformers' text-generation pipeline, handed texts, or conversations, which its own tokenizer reads."""

    name = "transformers"

    def __init__(self, predictor: Predictor, model: Any) -> None:
        self._predictor, self._task = predictor, cast(WrittenText, predictor.task)
        self.device = model.device.type
        with quiet_loading():
            tokenizer = transformers.AutoTokenizer.from_pretrained(predictor.bundle.path, trust_remote_code=False)
        self._call: Any = transformers.pipeline(
            "text-generation", model=model, tokenizer=tokenizer, device=model.device, pipeline_class=_Counting
        )

    def answer(self, texts: Sequence[Example], *, batch: int) -> Any:
        """The tokens of the texts that it writes."""
        columns = columns_of(list(texts), self._predictor.input_choices)
        given: list[Any] = self._task.shown(columns)
        if (name := conversations_in(columns)) is not None:
            given = [[{"role": turn["role"], "content": turn["text"]} for turn in turns] for turns in columns[name]]
        self._call.rows.clear()
        self._call(given, batch_size=batch, return_full_text=False, **options_of(self._task))
        return [*self._call.rows]

    def written(self, found: Any) -> int:
        return sum(len(_until_its_end(row, self._task)) for row in found)

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        return padded_in_batches(lengths, batch=batch)


def writing_systems(predictor: Predictor, texts: Sequence[Example], *, progress: Progress) -> Iterator[Any]:
    """What can be timed on ``texts`` beside a predictor that writes, as `hone.bench.systems.System`; what cannot is
    said."""
    task, engine = cast(WrittenText, predictor.task), predictor.engine
    decoding = cast(WritingSettings, task.settings).decoding
    if weights_format(predictor.bundle) != SAFETENSORS or predictor.bundle.manifest.plain.gives != "logits":
        progress.say("nothing else is timed: transformers alone does not open this bundle")
        return
    columns, rows = _read(predictor, texts)
    if odd := [name for name in OTHERWISE if getattr(decoding, name) or name in columns]:
        progress.say(f"nothing else is timed: transformers' generate does not write by {', '.join(odd)}")
        return
    assert isinstance(engine, TorchEngine)
    transformers.logging.set_verbosity_error()
    model = _model(predictor.bundle.path, task).to(engine.device)
    continues = not model.config.is_encoder_decoder
    whole = decoding.max_new_tokens + (int(rows.lengths.max(initial=0)) if continues else 1)
    rooms = [engine.writer.most_tokens, task.max_tokens if continues else None]
    most = min((room for room in rooms if room is not None), default=whole)
    if whole > most:
        progress.say(f"nothing else is timed: with decoding.max_new_tokens of {decoding.max_new_tokens} texts may have "
                     f"{whole} tokens, and transformers does not stop at {most} as hone does")  # fmt: skip
        return
    yield Generate(predictor, model)
    if not continues:
        return
    if rows.scalar("truncated").any() or (conversations_in(columns) and set(columns) - {*COLUMNS}):
        progress.say(
            "transformers' pipeline is not timed: it neither cuts texts nor puts attributes before conversations"
        )
        return
    yield TextPipeline(predictor, model)


def prompts_of(predictor: Predictor, texts: Sequence[Example]) -> list[list[int]]:
    """The tokens that each text is written from."""
    _, rows = _read(predictor, texts)
    return [*itertools.chain(*cast(WrittenText, predictor.task).prompts(rows))]


def options_of(task: WrittenText) -> dict[str, Any]:
    """The task's settings of decoding as transformers' ``generate`` takes them."""
    settings = cast(WritingSettings, task.settings).decoding
    read = [*COMMON, *(BEAMED if settings.search == "beam" else ()), *(DRAWN if settings.do_sample else ())]
    found = {name: getattr(settings, name) for name in read}
    if settings.do_sample:
        found["top_k"] = settings.top_k or 0  # where transformers has none it takes 50
    if settings.min_new_tokens:
        found["min_new_tokens"] = settings.min_new_tokens
    if task.forced_bos_token_id is not None:
        found["forced_bos_token_id"] = task.forced_bos_token_id
    return {**found, "eos_token_id": list(task.endings), "pad_token_id": task.tokenizer.pad_id}


def _read(predictor: Predictor, texts: Sequence[Example]) -> tuple[dict[str, list[Any]], Rows]:
    columns = columns_of(list(texts), predictor.input_choices)
    return columns, Rows(predictor.task.encode(columns, purpose="predict"))


def _model(folder: Path, task: WrittenText) -> Any:
    """transformers' model of a bundle, which writes as the task does and not as its files say."""
    continues = task.head.kind == "causal-language-model"
    kind: Any = transformers.AutoModelForCausalLM if continues else transformers.AutoModelForSeq2SeqLM
    with quiet_loading():
        model = kind.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).eval()
    start = getattr(model.config, "decoder_start_token_id", None)
    begin = {} if start is None else {"decoder_start_token_id": start}
    model.generation_config = transformers.GenerationConfig(**options_of(task), **begin)
    return model


def _until_its_end(row: list[int], task: WrittenText) -> list[int]:
    return list(itertools.takewhile(lambda token: token not in task.endings, row))


def _padded_before(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [rows, tokens] whose padding is after their tokens with it before them: so ``generate`` continues them."""
    order = mask.argsort(dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)
