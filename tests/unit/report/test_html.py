"""The page holds everything, fetches nothing, and shows hostile text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from hone.core.measures import Measure
from hone.report.catalog import Language, word
from hone.report.html import to_html
from hone.report.report import Cell, Grid, Report
from hone.report.style import CSS

VOID = {"meta", "link", "br", "wbr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and insists that tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module", params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


def test_the_page_is_well_formed_and_says_its_language(language: Language, report: Report) -> None:
    page = Reader(to_html(report, language=language))
    assert page.all("html") == [{"lang": {"en": "en", "zh": "zh-Hans"}[language]}]
    assert [tag for tag, _ in page.tags].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_the_page_fetches_nothing(language: Language, report: Report) -> None:
    page = to_html(report, language=language)
    for tag, attributes in Reader(page).tags:
        assert tag not in {"script", "iframe", "img", "object"}
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:"))
    assert "url(" not in page
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_text_stays_text(language: Language, report: Report, hostile: str) -> None:
    page = to_html(report, language=language)
    assert "<script" not in page
    assert Reader(page).text.count(hostile) >= 4


def test_hidden_characters_are_shown(report: Report) -> None:
    page = to_html(report)
    assert "\u200b" not in page
    assert "\u202e" not in page
    assert '<span class="mark" title="zero width space">U+200B</span>' in page


def test_headline_values_stand_with_interval_and_n(language: Language, report: Report) -> None:
    text = Reader(to_html(report, language=language)).text
    for shown in ("0.937", "0.927 – 0.945", "n = 3,080", word("accuracy", language), word("page.warnings", language)):
        assert shown in text


def test_a_missing_value_gives_its_reason(language: Language, report: Report) -> None:
    assert "no class has an example" in Reader(to_html(report, language=language)).text


def test_every_kind_of_grid_has_its_plot(report: Report) -> None:
    page = Reader(to_html(report))
    plots = [attributes for attributes in page.all("svg") if attributes["class"] == "plot"]
    assert len(plots) == 5 + 1  # the kinds that draw, and the parts of the data
    assert all(attributes["role"] == "img" for attributes in page.all("svg"))
    assert len(page.all("desc")) == len(plots)


def test_every_table_has_a_caption_and_scoped_heads(report: Report) -> None:
    page = Reader(to_html(report))
    assert len(page.all("caption")) == len(page.all("table")) == 7 + 1
    assert all("scope" in attributes for attributes in page.all("th"))


def test_labels_are_never_translated_but_words_are() -> None:
    grid = Grid(columns=["label", "count"], rows=[["train", 3]])
    chinese = {
        kind: Reader(
            to_html(Report(stage="inspect", tables={"splits": grid.model_copy(update={"names": kind})}), language="zh")
        )
        for kind in ("data", "words")
    }
    assert "train" in chinese["data"].text
    assert "训练集" not in chinese["data"].text
    assert "训练集" in chinese["words"].text


def test_a_matrix_keeps_its_labels_as_heads() -> None:
    grid = Grid(columns=["gold", "count", "f1"], rows=[["count", 1, 0], ["f1", 0, 1]], show="matrix")
    page = Reader(to_html(Report(stage="evaluate", tables={"confusion": grid}), language="zh"))
    assert "数量" not in page.text
    assert page.text.count("count") >= 2


def test_labels_that_are_called_like_units_leave_counts_as_they_are() -> None:
    labels = ["ms", "bytes", "seconds", "line"]
    rows: list[list[Cell]] = [[label, 1234, 0, 5, 6] for label in labels]
    grid = Grid(columns=["gold", *labels], rows=rows, show="matrix")
    page = Reader(to_html(Report(stage="evaluate", tables={"t": grid})))
    assert "1,234" in page.text
    assert not re.search(r"\d (ms|s|B|kB)\b", page.text)


def test_what_was_looked_at_is_named_in_the_readers_language() -> None:
    page = Reader(to_html(Report(stage="evaluate", facts={"data": "test", "task": "test"}), language="zh"))
    assert page.text.count("测试集") == 1


def test_a_difference_says_so_beside_what_is_measured() -> None:
    measure = Measure(name="accuracy", value=-0.1, n=10, slice="difference")
    page = Reader(to_html(Report(stage="compare", measures=[measure])))
    assert f"{word('about.difference')} {word('about.accuracy')}" in page.text


def test_a_long_table_is_folded_and_a_huge_one_cut() -> None:
    def page(rows: int) -> Reader:
        cells: list[list[Cell]] = [[f"label_{i}", i] for i in range(rows)]
        return Reader(to_html(Report(stage="inspect", tables={"t": Grid(columns=["label", "count"], rows=cells)})))

    assert not page(40).all("details")
    assert page(41).all("details")
    assert "All 41 rows" in page(41).text
    assert len(page(2500).all("tr")) == 2001
    assert "500 more rows" in page(2500).text


def test_a_matrix_of_many_classes_has_no_numbers_in_its_cells() -> None:
    def texts(classes: int) -> int:
        labels = [f"c{i}" for i in range(classes)]
        rows: list[list[Cell]] = [[label, *[9] * classes] for label in labels]
        grid = Grid(columns=["gold", *labels], rows=rows, show="matrix")
        return len(Reader(to_html(Report(stage="evaluate", tables={"confusion": grid}))).all("text"))

    assert texts(15) == 15 * 15 + 30
    assert texts(16) == 0


def test_a_long_text_is_cut_and_says_so() -> None:
    grid = Grid(columns=["text"], rows=[["word " * 1_000_000]])
    page = to_html(Report(stage="evaluate", tables={"worst_mistakes": grid}))
    assert len(page) < 30_000
    assert "4,999,400 more characters" in page


def test_a_lone_surrogate_can_be_written() -> None:
    page = to_html(
        Report(stage="evaluate", tables={"t": Grid(columns=["text", "n"], rows=[["\ud83d", 1]], show="bars")})
    )
    assert "U+D83D" in page.encode().decode()


def test_many_measures_go_on_in_a_table() -> None:
    measures = [Measure(name=f"m_{i}", value=i / 20, n=5) for i in range(12)]
    page = Reader(to_html(Report(stage="evaluate", measures=measures)))
    assert len(page.all("table")) == 1
    assert "m 11" in page.text


def test_an_empty_report_is_a_page(language: Language) -> None:
    assert word("page.empty", language) in Reader(to_html(Report(stage="evaluate"), language=language)).text


def test_a_title_can_be_given() -> None:
    assert "bank-intents &lt;3" in to_html(Report(stage="evaluate"), title="bank-intents <3")


def luminance(color: str) -> float:
    digits = color.lstrip("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [("ink", "paper"), ("soft", "paper"), ("soft", "card"), ("soft", "wash"), ("blue", "paper"), ("warn", "warn-wash")]
    + [("ink", "warn-wash"), ("on-color", "blue")],
)
def test_text_has_enough_contrast(scheme: int, ink: str, ground: str) -> None:
    block = re.findall(r":root\{(.*?)\}", CSS, flags=re.DOTALL)[scheme]
    colors = dict(re.findall(r"--([\w-]+):(#\w+)", block))
    light, dark = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_one_part_of_the_data_is_shown_as_cards() -> None:
    page = Reader(to_html(Report(stage="finetune", measures=[Measure(name="accuracy", value=0.9, n=5, slice="test")])))
    assert not page.all("table")
    assert "Accuracy · test" in page.text


def test_bars_with_an_interval_are_drawn_with_it() -> None:
    grid = Grid(
        columns=["tokens", "f1", "low", "high"], rows=[["0-8", 0.5, 0.4, 0.6], ["9-16", None, None, None]], show="bars"
    )
    page = Reader(to_html(Report(stage="evaluate", tables={"by_length": grid})))
    assert len(page.all("circle")) == 1
