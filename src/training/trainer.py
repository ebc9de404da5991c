"""A ``transformers.Trainer`` whose runs can be killed and resumed, and which answers questions while it evaluates.

Imported where a trainer is built, not before: this module needs torch and transformers at once. It overrides a few
of Trainer's inner methods; tests kill, resume and compare real runs, so a change upstream shows there.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput, TrainOutput, rotate_checkpoints

from src.data.text import fingerprint
from src.generation.generate import generate_answers
from src.profiles import Profile
from src.qlora.fitting import explain_out_of_memory, memory_advice
from src.qlora.memory import answering_tokens
from src.raft.prompt import to_messages
from src.scoring.bleu import compute_bleu
from src.training.checkpoints import STATE, checkpoint_problem, last_complete, seal
from src.training.labels import IGNORE

ORDER = "order.safetensors"


class WorkshopTrainer(Trainer):
    """Trainer with sealed checkpoints, exact resumption, BLEU at each evaluation and an answer to out of memory.

    ``bleu_records``: records answered at each evaluation (greedy, batched); their corpus BLEU is logged as
    ``eval_bleu`` beside ``eval_loss``. Answers are generated after the loss and no logits are kept, so memory does
    not grow with the evaluation set. With several processes each answers them all: the value is the same everywhere.
    """

    def __init__(self, *args: Any, profile: Profile, bleu_records: Sequence = (), **kwargs: Any) -> None:
        self.profile = profile
        self.bleu_records = list(bleu_records)
        super().__init__(*args, **kwargs)

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> TrainOutput:
        """Train; with ``resume_from_checkpoint=True`` go on from the last complete checkpoint, if there is one.

        Raises:
            OutOfMemory: with the numbers of this run; the batch is never changed behind the learner's back.
            ValueError: a checkpoint given by its path is incomplete or another run's.
        """
        self._run = self.run_fingerprint()
        checkpoint = self._checkpoint_to_resume(resume_from_checkpoint)
        self._ended, self._order = False, None  # the checkpoint is a run's last; its epoch's order
        if checkpoint is not None:
            state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
            # Saved at the last step, or where it stopped early: Trainer itself would take one more step.
            self._ended = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
            self._order = load_file(checkpoint / ORDER)["random_state"]
        with memory_advice(partial(explain_out_of_memory, self.profile)):
            return super().train(resume_from_checkpoint=str(checkpoint) if checkpoint else None, **kwargs)

    def run_fingerprint(self) -> str:
        """What a checkpoint must agree with to be resumed: data in its order, model, adapter, settings, versions."""
        a = self.args
        settings = [
            a.num_train_epochs,
            a.max_steps,
            a.learning_rate,
            str(a.lr_scheduler_type),
            a.warmup_steps,
        ]
        settings += [a.per_device_train_batch_size, a.gradient_accumulation_steps, a.world_size, str(a.optim)]
        settings += [a.seed, a.data_seed, a.eval_steps, a.save_steps, a.bf16, a.weight_decay, a.max_grad_norm]
        settings += [str(a.train_sampling_strategy), self.profile.early_stopping_patience]
        adapter = {name: config.to_dict() for name, config in self.model.peft_config.items()}
        for config in adapter.values():  # sets have no order of their own
            config["target_modules"] = sorted(config["target_modules"] or [])
        data = [[part["input_ids"][:], part["labels"][:]] for part in (self.train_dataset, self.eval_dataset)]
        versions = [version(name) for name in ("torch", "transformers", "peft", "bitsandbytes", "accelerate")]
        return fingerprint(settings, adapter, data, versions)

    def _checkpoint_to_resume(self, wanted: str | bool | None) -> Path | None:
        if not wanted:
            return None
        if wanted is not True:
            if reason := checkpoint_problem(wanted, self._run):
                raise ValueError(f"{wanted}에서 이어서 학습할 수 없습니다. {reason}.")
            return Path(wanted)
        found, skipped = last_complete(self.args.output_dir, self._run)
        if self.is_world_process_zero():
            for folder, reason in skipped:
                print(f"{folder.name}은(는) 건너뜁니다. {reason}.")
            start = f"{found.name}에서 이어서" if found else "이어서 쓸 체크포인트가 없어 처음부터"
            print(f"{start} 학습합니다.")
        return found

    def _run_epoch(self, **kwargs: Any) -> None:
        if self._ended:
            self.control.should_training_stop = True
            return
        if kwargs["steps_trained_in_current_epoch"]:  # resumed within it; a new epoch draws its own order
            self._sampler.replay = self._order
        self._order = None
        super()._run_epoch(**kwargs)

    def _get_train_sampler(self, train_dataset=None) -> torch.utils.data.Sampler:
        data = self.train_dataset if train_dataset is None else train_dataset
        # The batch of all processes together, so that the order does not depend on how many there are.
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        self._sampler = _ReplayableOrder(batch, lengths=[len(ids) for ids in data["input_ids"]])
        return self._sampler

    def _save_checkpoint(self, model, trial) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)  # what a kill left there, or another run
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        super()._save_checkpoint(model, trial)
        self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()  # every process has written its random state
        if self.args.should_save:
            save_file({"random_state": self._sampler.drawn_from}, folder / ORDER)
            seal(folder, self._run)
            # Only now: until this one is sealed, the one before it is the one to resume from.
            rotate_checkpoints(str(folder.parent), limit, self.state.best_model_checkpoint, use_mtime=True)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """The adapter alone, as safetensors: no pickled arguments, no copy of the tokenizer in each checkpoint."""
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            model = self.accelerator.unwrap_model(self.model)
            model.save_pretrained(str(folder), state_dict=state_dict, save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form of a model card

    def compute_loss(self, model, inputs: dict, return_outputs: bool = False, num_items_in_batch=None) -> Any:
        """The same loss, from logits at the answers alone: elsewhere they are the largest tensors of a step, made to
        be thrown away. The adapter is the same bit for bit (a test trains both ways)."""
        if not return_outputs or self.args.prediction_loss_only:  # nobody looks at the logits
            labels = inputs["labels"]
            first = int((labels != IGNORE).any(dim=0).int().argmax())
            keep = labels.shape[1] - first + 1  # from the token before, which predicts it
            inputs = {**inputs, "labels": labels[:, -keep:], "logits_to_keep": keep}
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self.bleu_records:
            answers = (
                generate_answers(  # draws no random numbers: training goes on as if nothing had been asked
                    self.model,
                    self.processing_class,
                    [to_messages(record, with_answer=False) for record in self.bleu_records],
                    max_new_tokens=self.profile.max_new_tokens,
                    batch_tokens=answering_tokens(self.profile),
                )
            )
            references = [to_messages(record)[-1]["content"] for record in self.bleu_records]
            output.metrics[f"{metric_key_prefix}_bleu"] = compute_bleu(answers, references)["bleu"]
        return output


class _ReplayableOrder(LengthGroupedSampler):
    """Batches of like length, in an order that is the same in every process and can be drawn again.

    The order of an epoch comes from torch's random state at its beginning. Trainer restores the state of the moment
    of saving, which after the first epoch gives another order; so the state at the draw is kept and saved too.
    """

    replay: torch.Tensor | None = None  # the random state to draw the next order from
    drawn_from: torch.Tensor | None = None

    def __iter__(self) -> Iterator[int]:
        if self.replay is not None:
            torch.set_rng_state(self.replay)
            self.replay = None
        self.drawn_from = torch.get_rng_state()
        # Dropout may have taken the processes' random states apart: the first one's order counts.
        order = [list(super().__iter__())]
        return iter(broadcast_object_list(order)[0])
