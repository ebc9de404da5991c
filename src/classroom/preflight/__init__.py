"""Is this machine ready? One verdict in seconds: ``python -m src.classroom.preflight [--profile NAME] [--json]``.

In: a profile. Out: lines, each with a sign, a message and a remedy. Imports nothing but the standard library, so that
it can tell of a missing package instead of stumbling over it. What touches a GPU runs in a process of its own, because
a broken driver can take the process down.
"""

from src.classroom.preflight.gpu import check_gpu
from src.classroom.preflight.hub import hub_cache, model_folder
from src.classroom.preflight.lines import SIGNS
from src.classroom.preflight.report import run_checks, verdict
