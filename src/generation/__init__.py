"""Messages become answers (notebooks 03 and 04).

In: a model and chat messages. Out: one answer each, batched, kept across interruptions; or how likely given answers are.
"""

from src.generation.answer_cache import AnswerCache, model_identity
from src.generation.few_shot import few_shot_examples, generate_few_shot, with_examples
from src.generation.generate import generate_answers, generate_base_and_tuned
from src.generation.likelihood import score_continuations
