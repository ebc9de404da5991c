"""Two systems' answers are compared, and people asked (notebook 04).

In: answers of both, and records. Out: a ``Comparison`` with intervals, tables, pages, the open-book exam, ratings; and,
before and after shipping (notebook 05), whether answers hang on who asks and whether the questions have drifted.
"""

from src.evaluation.agreement import preference_verdict, rater_agreement, summarize_ratings
from src.evaluation.comparison import compare_systems
from src.evaluation.drift import Drift, Month, drift_alarm, drift_table, false_alarm_rate, month_of
from src.evaluation.estimates import AUROC, Estimate, Share, estimate, label_table
from src.evaluation.fairness import (
    LOOK_COLUMNS,
    PEOPLE,
    exchange,
    introduced,
    look_at_exchanges,
    looks_table,
    unfair,
)
from src.evaluation.long_documents import Asker, map_reduce, pack, pile, split_text, whole_in_a_piece
from src.evaluation.open_book import (
    compare_changed,
    compare_right,
    difference_table,
    is_right,
    open_book_records,
    open_book_table,
    open_book_verdict,
)
from src.evaluation.pages import comparison_page, plot_comparison
from src.evaluation.perturbation import changed_digits
from src.evaluation.ratings import TIE, Rating, read_ratings, write_rating_sheet
from src.evaluation.resampling import paired_difference
from src.evaluation.results import ALPHA, HEADLINE, Comparison, Difference
from src.evaluation.retrieval import BM25Retriever, EmbeddingRetriever, held_out_documents, retriever_table
from src.evaluation.tables import compare_parts, comparison_table, length_labels, sample_table
from src.evaluation.voting import Vote, majority
