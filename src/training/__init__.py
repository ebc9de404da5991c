"""Records become an adapter (notebook 03).

In: records and a model with a fresh adapter. Out: audited labels, a ``Trainer``, sealed checkpoints, what the losses say.
Elective 10: prompts and labels become a classifier.
"""

from src.training.build import build_trainer, loss_history, share_batch
from src.training.checkpoints import checkpoint_problem
from src.training.classification import Run, encode_prompts, fine_tune, fit_head, read_features
from src.training.diagnosis import diagnose_history
from src.training.labels import IGNORE, LabelAuditError, audit_labels, label_pieces, tokenize_records
from src.training.likelihood import Scores, score_labels
from src.training.monitoring import PeakMemory, installed_trackers
from src.training.soft_labels import fit_shares, one_hot
