"""The tasks, by the ecosystem's own names."""

from __future__ import annotations

from hone.core.tables import Table

TASKS = Table(
    "task",
    {
        "text-classification": "hone.tasks.classification:TextClassification",
        "text-pair-classification": "hone.tasks.classification:TextPairClassification",
        "relation-extraction": "hone.tasks.relation:RelationExtraction",
        "question-answering": "hone.tasks.question_answering:QuestionAnswering",
        "multi-label-classification": "hone.tasks.multi_label:MultiLabelClassification",
        "text-regression": "hone.tasks.regression:TextRegression",
        "text-pair-regression": "hone.tasks.regression:TextPairRegression",
        "sentence-embedding": "hone.tasks.embedding:SentenceEmbedding",
        "token-classification": "hone.tasks.tagging:TokenClassification",
        "intent-and-slots": "hone.tasks.intent_and_slots:IntentAndSlots",
        "span-classification": "hone.tasks.span_classification:SpanClassification",
        "multiple-choice": "hone.tasks.multiple_choice:MultipleChoice",
        "fill-mask": "hone.tasks.fill_mask:FillMask",
        "translation": "hone.tasks.translation:Translation",
        "summarization": "hone.tasks.summarization:Summarization",
        "text-generation": "hone.tasks.text_generation:TextGeneration",
        "dialogue": "hone.tasks.dialogue:Dialogue",
    },
    group="hone.tasks",
)

SETTINGS = Table(
    "task",
    {
        "text-classification": "hone.tasks.settings:TextClassificationSettings",
        "text-pair-classification": "hone.tasks.settings:TextPairClassificationSettings",
        "relation-extraction": "hone.tasks.settings:RelationSettings",
        "question-answering": "hone.tasks.settings:QuestionAnsweringSettings",
        "multi-label-classification": "hone.tasks.settings:MultiLabelSettings",
        "text-regression": "hone.tasks.settings:TextRegressionSettings",
        "text-pair-regression": "hone.tasks.settings:TextPairRegressionSettings",
        "sentence-embedding": "hone.tasks.settings:SentenceEmbeddingSettings",
        "token-classification": "hone.tasks.settings:TokenClassificationSettings",
        "intent-and-slots": "hone.tasks.settings:IntentAndSlotsSettings",
        "span-classification": "hone.tasks.settings:SpanClassificationSettings",
        "multiple-choice": "hone.tasks.settings:MultipleChoiceSettings",
        "fill-mask": "hone.tasks.settings:FillMaskSettings",
        "translation": "hone.tasks.writing_settings:TranslationSettings",
        "summarization": "hone.tasks.writing_settings:SummarizationSettings",
        "text-generation": "hone.tasks.writing_settings:TextGenerationSettings",
        "dialogue": "hone.tasks.writing_settings:DialogueSettings",
    },
    group="hone.tasks.settings",
)
