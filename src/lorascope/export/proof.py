"""Two models on the same rows -> proof that they are the same model, or where they differ.

Shapes: S target positions, V vocabulary, N examples.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lorascope.errors import NoTargetTokens, NumericsError, UndefinedMetric, explain
from lorascope.lm.score import ExampleScores, score_examples
from lorascope.lm.target_logits import lay_out, run_pass, with_targets
from lorascope.metrics.likelihood import mean_nll
from lorascope.metrics.uncertainty import paired_ratio_difference
from lorascope.run.dataset import Example

NUM_TEXTS = 32
"""Texts whose logits are compared."""

MAX_LOGITS = 2**26
"""Most logits kept of each model: 256 MiB in float32, which is 1,300 positions of GPT-2's vocabulary."""

LOGIT_TOLERANCE = 1e-3
"""Share of the largest centred logit by which float32 logits may differ. Both sides compute the same
function in another order, x W + (x A) B against x (W + A B), so they differ by rounding alone. Measured on a
CPU, rank 16 in every layer: 1e-6 of that scale for GPT-2 small's shape and for 24 layers of Llama, 3e-5 for
a model whose random weights amplify rounding; an adapter that is lost, halved or scaled wrongly moves logits
by a tenth of it or more."""

LOSS_TOLERANCE = 1e-5
"""Relative difference of the loss, absolute below 1 nat: rounding of single tokens averages out over a
split, and a loss near 0 has no relative precision in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRows:
    """What both models are asked.

    Attributes:
        split: Where the rows come from.
        examples: Scored for the loss.
        num_positions: For each of the first examples, how many of its target positions have their logits
            compared.
    """

    split: str
    examples: Sequence[Example]
    num_positions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one model says.

    Attributes:
        logits: For each compared text its logits at target positions, float32 on the CPU, each [S, V].
        scores: Losses of all examples.
    """

    logits: list[torch.Tensor]
    scores: ExampleScores


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two models agree.

    Attributes:
        max_logit_difference: Largest absolute difference of a logit.
        logit_scale: Largest absolute centred logit of the reference.
        logit_tolerance: LOGIT_TOLERANCE of that.
        worst_example: Example in which the largest difference lies.
        top_1_agreement: Share of positions with the same most likely token.
        num_top_1_differ: Positions where it differs.
        num_undecided: Positions where the reference's two best logits lie within twice the tolerance: two
            logits may move by it in opposite directions, so rounding may decide between them.
        num_top_1_differ_decided: Positions where it differs although rounding cannot decide.
        reference_loss: Nats per target token.
        loss: The other model's.
        loss_difference: The other minus the reference, relative to the reference, absolute below 1 nat.
        loss_tolerance: LOSS_TOLERANCE.
        num_positions: Positions compared.
    """

    max_logit_difference: float
    logit_scale: float
    logit_tolerance: float
    worst_example: str
    top_1_agreement: float
    num_top_1_differ: int
    num_undecided: int
    num_top_1_differ_decided: int
    reference_loss: float
    loss: float
    loss_difference: float
    loss_tolerance: float
    num_positions: int

    @property
    def failures(self) -> list[str]:
        """What rounding in float32 cannot explain, in words; empty when the two are the same model."""
        found = []
        if self.max_logit_difference > self.logit_tolerance:
            found.append(
                f"a logit differs by {self.max_logit_difference:.3g} (example {self.worst_example}), the "
                f"tolerance is {self.logit_tolerance:.3g}"
            )
        if self.num_top_1_differ_decided:
            found.append(
                f"the most likely token differs at {self.num_top_1_differ_decided:,} of "
                f"{self.num_positions:,} positions"
            )
        if abs(self.loss_difference) > self.loss_tolerance:
            found.append(
                f"the loss is {self.loss:.6f} instead of {self.reference_loss:.6f}, off by "
                f"{abs(self.loss_difference):.1e}"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        return asdict(self)


def choose_rows(split: str, examples: Sequence[Example], vocabulary: int) -> ProofRows:
    """Choose what is compared: the loss of every example, the logits of the first texts that fit into memory.

    Args:
        split: Name of the split.
        examples: Its examples.
        vocabulary: Size of the vocabulary.

    Raises:
        NoTargetTokens: No example has a target token, so nothing can be proven.
    """
    scorable = [example for example in examples if example.num_target_tokens]
    if not scorable:
        raise NoTargetTokens(f'no example of split "{split}" has a target token, so nothing can be compared')
    room = max(1, MAX_LOGITS // vocabulary)
    num_positions = []
    for example in scorable[:NUM_TEXTS]:
        num_positions.append(min(room, example.num_target_tokens))
        room -= num_positions[-1]
        if room == 0:
            break
    return ProofRows(split=split, examples=scorable, num_positions=tuple(num_positions))


def measure(
    model: Any, rows: ProofRows, *, pad_id: int, advance: Callable[[int], None] = lambda done: None
) -> Measured:
    """Take a model's logits and losses on the proof's rows.

    Raises:
        NumericsError: A logit is not finite.
    """
    scores = score_examples(model, rows.examples, pad_id=pad_id, advance=advance)
    return Measured(logits=text_logits(model, rows, pad_id=pad_id), scores=scores)


@torch.no_grad()
def text_logits(model: Any, rows: ProofRows, *, pad_id: int) -> list[torch.Tensor]:
    """Logits at target positions of the first texts, float32 on the CPU, [S, V] each.

    Raises:
        NumericsError: A logit is not finite.
    """
    pairs = zip(rows.examples, rows.num_positions, strict=False)
    examples = [with_targets(example, 0, count) for example, count in pairs]
    found = [torch.empty(0)] * len(examples)
    # As many positions as are kept, so that no example is cut.
    for one in lay_out(model, examples, pad_id=pad_id, most=sum(rows.num_positions)):
        logits = run_pass(model, one, pad_id=pad_id)
        for place, example in one.examples.items():
            own_S = (one.example_S == place).nonzero()[0]
            logit_SV = logits(int(own_S[0]), int(own_S[-1]) + 1)
            if not torch.isfinite(logit_SV).all():
                raise _not_finite(example)
            found[place] = logit_SV.cpu()
    return found


def _not_finite(example: Example) -> NumericsError:
    return NumericsError(
        explain(
            "a logit is not finite",
            where=f"example {example.example_id}",
            why="a model that answers with NaN or infinity can be proven equal to nothing",
            fix="look at the training's last steps: lorascope diagnose RUN",
        )
    )


def compare(reference: Measured, other: Measured, rows: ProofRows) -> Agreement:
    """Compare two models on the same rows.

    Args:
        reference: Base with adapter.
        other: The merged model.
        rows: What both were asked.
    """
    worst, worst_example, scale = 0.0, rows.examples[0].example_id, 0.0
    for example, a_SV, b_SV in zip(rows.examples, reference.logits, other.logits, strict=False):
        difference = float((a_SV - b_SV).abs().max())
        if difference > worst:
            worst, worst_example = difference, example.example_id
        scale = max(scale, float((a_SV - a_SV.mean(dim=-1, keepdim=True)).abs().max()))
    tolerance = LOGIT_TOLERANCE * scale
    differ, undecided, unexplained, total = 0, 0, 0, 0
    for a_SV, b_SV in zip(reference.logits, other.logits, strict=True):
        best_S2 = a_SV.topk(2, dim=-1).values
        close_S = best_S2[:, 0] - best_S2[:, 1] <= 2 * tolerance
        differs_S = a_SV.argmax(dim=-1) != b_SV.argmax(dim=-1)
        differ += int(differs_S.sum())
        undecided += int(close_S.sum())
        unexplained += int((differs_S & ~close_S).sum())
        total += len(a_SV)
    tokens = reference.scores.num_tokens_N
    a, b = mean_nll(reference.scores.nll_sum_N, tokens), mean_nll(other.scores.nll_sum_N, tokens)
    return Agreement(
        max_logit_difference=worst,
        logit_scale=scale,
        logit_tolerance=tolerance,
        worst_example=worst_example,
        top_1_agreement=1 - differ / total,
        num_top_1_differ=differ,
        num_undecided=undecided,
        num_top_1_differ_decided=unexplained,
        reference_loss=a,
        loss=b,
        loss_difference=(b - a) / max(1.0, a),
        loss_tolerance=LOSS_TOLERANCE,
        num_positions=total,
    )


def largest_difference(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> float:
    """Largest absolute difference between two models' logits."""
    return max(float((a_SV - b_SV).abs().max()) for a_SV, b_SV in zip(a, b, strict=True))


def loss_change(reference: Measured, other: Measured) -> dict[str, Any] | None:
    """Paired interval of the other model's loss minus the reference's; None for a single example."""
    try:
        return paired_ratio_difference(
            reference.scores.nll_sum_N, other.scores.nll_sum_N, reference.scores.num_tokens_N
        ).as_dict()
    except UndefinedMetric:
        return None
