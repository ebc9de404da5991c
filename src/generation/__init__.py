"""Messages become answers (notebooks 03, 04 and 11).

In: a model and chat messages. Out: one answer each, batched, kept across interruptions (JSON lines, or a CSV file with
what each call cost); or how likely given answers are; or the value of a formula that a model wrote.
"""

from src.generation.answer_cache import AnswerCache, model_identity
from src.generation.arithmetic import calculate, number_in, sum_questions
from src.generation.few_shot import few_shot_examples, generate_few_shot, with_examples
from src.generation.generate import generate_answers, generate_base_and_tuned
from src.generation.likelihood import score_continuations
from src.generation.prompt_table import ask_prompts, count_calls
