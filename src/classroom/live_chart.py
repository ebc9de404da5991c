"""The loss, drawn while it falls: a Trainer callback that redraws one picture in the notebook."""

import time
from types import SimpleNamespace
from typing import Any


def draw_history(history: Any) -> Any:
    """Figure of ``loss_history``'s table: training and evaluation loss, and BLEU beside them where it was measured."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for column, label, style in (("loss", "학습 손실", "-"), ("eval_loss", "검증 손실", "o-")):
        points = history.dropna(subset=[column])
        axes[0].plot(points["step"], points[column], style, label=label)
    axes[0].set(title="손실", xlabel="스텝", ylim=(0, None))
    axes[0].legend()
    points = history.dropna(subset=["eval_bleu"])
    axes[1].plot(points["step"], points["eval_bleu"], "s-", color="tab:green")
    axes[1].set(title="검증 질문에 답한 BLEU", xlabel="스텝", ylim=(0, 100), xlim=axes[0].get_xlim())
    for axis in axes:
        axis.grid(alpha=0.3)
    plt.close(figure)  # shown by whoever asked for it, once
    return figure


def live_chart(seconds: float = 3.0) -> Any:
    """A callback for ``trainer.add_callback``: one picture, redrawn at most every ``seconds`` and at the end.

    Where pictures cannot be replaced (a saved page) the last one remains.
    """
    from IPython.display import display
    from transformers import TrainerCallback

    from src.training.build import loss_history

    class LiveChart(TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            self.name, self.shown, self.drawn = f"loss-{time.monotonic_ns()}", False, time.monotonic()

        def on_log(self, args, state, control, **_):
            if time.monotonic() - self.drawn > seconds:
                self.draw(state)

        def on_train_end(self, args, state, control, **_):
            self.draw(state)

        def draw(self, state):
            figure = draw_history(loss_history(SimpleNamespace(state=state)))
            display(figure, display_id=self.name, update=self.shown)
            self.shown, self.drawn = True, time.monotonic()

    return LiveChart()
