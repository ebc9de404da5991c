"""Two systems' answers are compared, and people asked (notebook 04).

In: answers of both, and records. Out: differences with intervals, tables, pages, the open-book exam, ratings.
"""

from src.evaluation.agreement import preference_verdict, summarize_ratings
from src.evaluation.comparison import compare_parts, compare_systems, length_labels
from src.evaluation.open_book import compare_right, open_book_records, open_book_table
from src.evaluation.pages import comparison_page, plot_comparison
from src.evaluation.ratings import TIE, Rating, read_ratings, write_rating_sheet
from src.evaluation.resampling import paired_difference, paired_differences
from src.evaluation.retrieval import (
    BM25Retriever,
    EmbeddingRetriever,
    Retriever,
    golden_rank,
    held_out_documents,
    retriever_table,
)
from src.evaluation.tables import (
    ALPHA,
    HEADLINE,
    METRICS,
    comparison_table,
    judgement,
    percent_change,
    sample_table,
    summary_rows,
    verdict,
)

__all__ = [
    "ALPHA",
    "HEADLINE",
    "METRICS",
    "TIE",
    "BM25Retriever",
    "EmbeddingRetriever",
    "Rating",
    "Retriever",
    "compare_parts",
    "compare_right",
    "compare_systems",
    "comparison_page",
    "comparison_table",
    "golden_rank",
    "held_out_documents",
    "judgement",
    "length_labels",
    "open_book_records",
    "open_book_table",
    "paired_difference",
    "paired_differences",
    "percent_change",
    "plot_comparison",
    "preference_verdict",
    "read_ratings",
    "retriever_table",
    "sample_table",
    "summarize_ratings",
    "summary_rows",
    "verdict",
    "write_rating_sheet",
]
