"""Examples -> padded tensors. The only collator; lengths, never token ids, say what is padding.

Shapes: B rows, T tokens in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lorascope.run.dataset import IGNORE, Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One forward pass.

    Attributes:
        input_ids_BT: int64; the pad id stands behind (or before) each row's own tokens.
        attention_mask_BT: int64; 1 on a row's own tokens, made from its length.
        position_ids_BT: int64; counted from each row's first own token, so the padding side changes nothing.
        labels_BT: int64; -100 on prompt and padding.
    """

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    position_ids_BT: Tensor
    labels_BT: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device."""
        return Batch(
            input_ids_BT=self.input_ids_BT.to(device),
            attention_mask_BT=self.attention_mask_BT.to(device),
            position_ids_BT=self.position_ids_BT.to(device),
            labels_BT=self.labels_BT.to(device),
        )


def collate(examples: Sequence[Example], pad_id: int, *, side: Literal["right", "left"] = "right") -> Batch:
    """Pad examples to the longest of them.

    Args:
        examples: At least one.
        pad_id: Any token; it may be the end-of-text token, because nothing is ever read off it.
        side: Where the padding goes.

    Returns:
        The batch, on the CPU.
    """
    longest = max(example.num_tokens for example in examples)
    shape = (len(examples), longest)
    ids, labels = torch.full(shape, pad_id), torch.full(shape, IGNORE)
    mask, positions = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    for row, example in enumerate(examples):
        start = 0 if side == "right" else longest - example.num_tokens
        own = slice(start, start + example.num_tokens)
        ids[row, own] = torch.from_numpy(example.input_ids)
        labels[row, own] = torch.from_numpy(example.labels)
        mask[row, own] = 1
        positions[row, own] = torch.arange(example.num_tokens)
    return Batch(input_ids_BT=ids, attention_mask_BT=mask, position_ids_BT=positions, labels_BT=labels)


def cut_examples(examples: Sequence[Example], max_length: int) -> tuple[list[Example], int]:
    """Cut examples to their first tokens.

    Args:
        examples: Of any length.
        max_length: Tokens to keep of each.

    Returns:
        The examples, and how many of them were cut; a cut one has lost its last targets.
    """
    kept = [
        Example(
            example_id=one.example_id, input_ids=one.input_ids[:max_length], labels=one.labels[:max_length]
        )
        for one in examples
    ]
    return kept, sum(one.num_tokens > max_length for one in examples)


def pad_id_of(tokenizer: object) -> int:
    """The id to pad with: the tokenizer's pad token, else its end-of-text token."""
    pad = getattr(tokenizer, "pad_token_id", None)
    return int(pad if pad is not None else tokenizer.eos_token_id)  # type: ignore[attr-defined]


def rows_within(lengths: Sequence[int], *, row_tokens: int, most: int | None = None) -> list[list[int]]:
    """Group examples into passes whose padded size stays under a budget, longest first.

    Args:
        lengths: Tokens of each example.
        row_tokens: Budget of a pass: rows x longest row. An example above it gets a pass of its own.
        most: Largest number of examples in a pass, None for no limit.

    Returns:
        Index groups that cover every example once; neighbours are of similar length, so little is padding.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    groups: list[list[int]] = []
    for index in order:
        longest = lengths[groups[-1][0]] if groups else 0
        full = groups and ((len(groups[-1]) + 1) * longest > row_tokens or (most and len(groups[-1]) >= most))
        if not groups or full:
            groups.append([])
        groups[-1].append(index)
    return groups


def shorter_rows(row_tokens: int, examples: Sequence[Example]) -> int | None:
    """Half of the longest row that these examples make, but never less than the longest of them.

    Args:
        row_tokens: The budget they did not fit in.
        examples: What is to be run.

    Returns:
        The next budget to try; None where each example has a row of its own already.
    """
    longest = max(one.num_tokens for one in examples)
    used = min(row_tokens, sum(one.num_tokens for one in examples))
    return max(longest, used // 2) if used > longest else None
