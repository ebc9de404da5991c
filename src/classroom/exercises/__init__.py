"""Exercises that answer back, one file a notebook: an answer goes in, "right" or a hint for its mistake comes out.

They never stop a notebook, and what is logged never holds the answer (``src.classroom.progress``).
"""

from src.classroom.exercises import (  # each registers its own
    classification,
    concepts,
    custom_qlora,
    data_preprocessing,
    data_quality,
    evaluation,
    fine_tuning,
    label_errors,
    long_documents,
    prerequisites,
    prompts_and_logits,
)
from src.classroom.exercises.registry import EXERCISES, NUMERIC, as_number, check, hint_for
