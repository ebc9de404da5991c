"""Answers are scored against references, in Korean (notebook 04).

In: answers and references. Out: ROUGE, BLEU, chrF, cosine, exact match and abstention, over all and a sample.
And labels against labels (electives 10, 12). Every ``compute_…`` takes two lists of the same length and never raises on an empty, long or odd *answer*.
"""

from src.scoring.bleu import (
    bleu_from_statistics,
    bleu_statistics,
    chrf_from_statistics,
    chrf_statistics,
    compute_bleu,
    compute_chrf,
    signatures,
)
from src.scoring.calibration import calibrate, label_probabilities
from src.scoring.classification import (
    LABEL_TITLES,
    compute_classification,
    confusion_table,
    f1_counts,
    f1_from_counts,
)
from src.scoring.correctness import (
    answer_contained,
    compute_abstention,
    compute_answer_contained,
    compute_char_f1,
    compute_exact_match,
    korquad_normalize,
)
from src.scoring.cosine import compute_cosine_similarity
from src.scoring.embedding import embedder_label, load_embedder
from src.scoring.metrics import METRICS, load_metric
from src.scoring.reliability import calibration_error, reliability_table
from src.scoring.rouge import compute_rouge
from src.scoring.tokenizers import TOKENIZERS
