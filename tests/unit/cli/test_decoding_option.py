from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hone.cli.decoding import parse_decoding
from hone.core.errors import RecipeError


def test_values_are_yaml() -> None:
    found = parse_decoding(["num_beams=4", "do_sample=false", "stop_strings=[a, 'b=c']", "top_k=null"])
    assert found == {"num_beams": 4, "do_sample": False, "stop_strings": ["a", "b=c"], "top_k": None}


@pytest.mark.parametrize("given", [["num_beams"], ["=4"], ["top_k=1", "top_k=2"], ["stop_strings=[a"]])
def test_what_is_no_setting_is_refused(given: list[str]) -> None:
    with pytest.raises(RecipeError):
        parse_decoding(given)


@pytest.mark.parametrize(("text", "quoted"), [("[0-9]{4}", "'[0-9]{4}'"), ("[a]'s", "'[a]''s'")])
def test_a_text_that_yaml_reads_otherwise_is_told_to_be_quoted(text: str, quoted: str) -> None:
    with pytest.raises(RecipeError, match="give it quotes of its own") as refused:
        parse_decoding([f"regex={text}"])
    assert refused.value.fix.endswith(f": {quoted}")
    assert parse_decoding([f"regex={quoted}"]) == {"regex": text}


def test_a_bundle_that_does_not_write_takes_none(
    text_bundle: Path, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}', encoding="utf-8")
    code, _, said = command("predict", text_bundle, tmp_path / "rows.jsonl", "--decoding", "num_beams=4")
    assert code == 2
    assert "writes no text" in said
