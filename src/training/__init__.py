"""Records become an adapter (notebook 03).

In: records and a model with a fresh adapter. Out: audited labels, a ``Trainer``, sealed checkpoints, what the losses say.
"""

from src.training.build import build_trainer, loss_history, share_batch
from src.training.checkpoints import checkpoint_problem
from src.training.diagnosis import diagnose_history
from src.training.labels import IGNORE, LabelAuditError, audit_labels, label_pieces, tokenize_records
from src.training.monitoring import PeakMemory, installed_trackers
