"""Files become validated samples in splits that do not leak (notebook 01).

In: JSON, JSON Lines, CSV, Parquet or a hub dataset. Out: ``RawSample``, and a ``Reject`` with its reason for every other row.
"""

from src.data.conversations import load_conversations
from src.data.corpus import read_corpus, read_hub_rows
from src.data.files import read_jsonl, write_jsonl
from src.data.pairs import ANSWERABLE, NLI, Pair, check_labels, label_table, read_klue_nli
from src.data.reading import iter_samples, load_samples
from src.data.schemas import (
    MAX_LENGTH,
    MIN_LENGTH,
    Conversation,
    RaftRecord,
    RawSample,
    Reject,
    golden_document,
)
from src.data.similarity import similar_pairs
from src.data.splitting import (
    SPLIT_NAMES,
    LeakageError,
    check_leakage,
    pick,
    split_by_group,
    split_shares,
)
from src.data.text import normalize_text, repair_mojibake, split_sentences, text_key, what_is_odd
from src.data.validation import validate_samples
from src.data.votes import made_up_votes, read_klue_votes, vote_shares
