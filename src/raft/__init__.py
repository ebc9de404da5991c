"""Samples become RAFT records, and records chat messages (notebook 01).

In: the samples of one split. Out: ``RaftRecord`` with golden and distractor documents; every prompt is written here.
"""

from src.raft.answers import (
    ABSTENTION,
    QUOTE_BEGIN,
    QUOTE_END,
    answer_cores,
    final_answer,
    format_answer,
    is_abstention,
    quotes_in,
    says_yes,
    strip_answer_form,
)
from src.raft.claims import answerability_pairs, as_record, nli_pairs, pair_messages
from src.raft.conversion import convert_to_raft, with_reasoning
from src.raft.evidence import find_answer, find_core, holds_answer
from src.raft.prompt import INSTRUCTION, context_tokens, count_tokens, render_chat, to_messages
