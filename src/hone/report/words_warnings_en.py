"""The English words of warnings, of what to do about them, and of why a measure has no value; `hone.report.words_warnings_zh`
has the same keys."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "warn.leaked": "Rows of {other} that stand in {one} as well: {count}. They flatter the scores on {other}; drop them from training with data: {{drop: [leaked]}}",
    "warn.contradictions": "Inputs that occur with different labels: {count}. Of each at least one label is wrong.",
    "warn.empty": "Empty texts in {split}: {count}.",
    "warn.illegal_bio": "Illegal BIO tags in {split}: {count} (the first, {tag} in line {line}, continues nothing). Each is read as the beginning of an entity.",
    "warn.long": "{share} of the texts of {split} are longer than {limit} tokens and are cut under long_text: truncate. {advice}",
    "warn.long_turns": "{share} of the conversations of {split} are longer than {limit} tokens: their answers are learned in several rows, before which the oldest turns are left out.",
    "warn.cut_targets": "{share} of the texts to write of {split} ({count}) are cut under long_target: truncate; their end is not learned. Raise max_target_length as far as the base goes.",
    "warn.lost": "Entities of {split} that no row holds whole: {count}. They begin or end within a token, or reach beyond what one window reads; training does not see them, and they cannot be found.",
    "warn.lost_answers": "Answers of {split} that no row holds whole: {count}. They are longer than what neighboring windows share, or lie where the tokenizer has no tokens; their questions teach nothing. Raise stride, or max_length as far as the base goes.",
    "warn.long_answers": "Answers of {split} that are longer than max_answer_tokens: {count}. They are learned, but never given. Raise it.",
    "warn.unknown": "THE BASE {base} DOES NOT KNOW THIS LANGUAGE: its tokenizer does not know {shares} of the tokens. Choose a base that was trained on it.",
    "warn.unknown_pieces": "The tokenizer that was learned ({kind}, at most {size} tokens) does not know {shares} of the tokens. Raise vocab_size, lower min_frequency, or take kind: bpe, to which no text is unknown.",
    "warn.cut_measured": "{some} of {count} texts to write are longer than max_target_length: perplexity is that of their beginnings, and what is counted by word or byte leaves them out. Raise it as far as the base goes.",
    "warn.no_places": "{some} of {count} texts have masks beyond where they were cut, and none before: nothing of them is measured.",
    "warn.cut": "Texts cut before the model read them: {cut} of {count}. {advice}",
    "warn.cut_turns": "Answers before which the oldest turns were left out: those of {cut} of {count} conversations. Raise max_length, as far as the base goes.",
    "warn.single_labels": "{count} training texts are the only ones with their label: they are told apart from others, and are near none.",
    "warn.no_law": "Too few parts of different size for a law: at least three.",
    "warn.no_law_of": "No law is fitted: {measure} is neither a loss nor part of a whole, so nothing says what more data could bring at most.",
    "warn.forgotten": "The text {part} is told worse than before training: mix some of it into the corpus, as a source with a share.",
    "warn.begun": "The head that tells held-out text is new: what it told before training says nothing of the base, and that it gained does not show that nothing was forgotten. Probes show what a base holds.",
    "warn.probes_cut": "Texts of probes that are longer than what one row reads, and are cut: {count}.",
    "warn.left_out": "Left out of {split}, for they are not among the labels that count: {count} labels, which stood there {total} times.",
    "warn.no_matrix": "There is no confusion matrix of {count} labels: more than {most} make none that can be read. The pairs that are most often confused have a table of their own.",
    "warn.undecided": "The new bundle decides by nothing: what its parent decides by (a threshold, say) was fitted by other scores, and without validation none can be fitted by its own. Name validation under data.",
    "warn.unreadable": "Left out of the corpus, for they cannot be read: {count} files, lines or rows. The first: {first}",
    "warn.held_out_unreadable": "Left out of the held-out text, for they cannot be read: {count} files, lines or rows. The first: {first}",
    "warn.held_out_leaked": "Held-out documents that stand in the corpus as well: {count}, the first at {first}. They flatter what is measured; take them out of the corpus with data: {{drop: [leaked]}}",
    "warn.like_unreadable": "Left out of the text that documents of {source} are to be like, for they cannot be read: {count} files, lines or rows. The first: {first}",
    "advice.raise": "Raise max_length as far as the base goes.",
    "advice.whole_base": "The base reads no more at a time: shorten them, or take a base that does.",
    "advice.window": "Or set long_text to window: then all of them is read.",
    # reasons, as reports hold them
    "there is nothing to score in this part of the data": "there is nothing to score in this part of the data",
    "there is no word": "there is no word",
    "one of the two has nothing to score": "one of the two has nothing to score",
}
