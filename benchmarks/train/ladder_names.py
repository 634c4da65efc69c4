"""What each rung of the ladder adds to the one before it; read by the pages without loading torch."""

RUNGS = {
    "plain": "plain loop: passes of 4, padded, logits everywhere",
    "sorted": "similar lengths padded together, logits up to the targets",
    "packed": "packed rows, one mask over each, logits everywhere",
    "bucketed": "attention in buckets of similar length, no mask",
    "targets": "logits at the targets alone",
    "blocks": "frozen head: loss and gradient block by block",
    "fused": "LoRA layer and activation as one function each",
    "shared": "shared prefixes once: as shipped",
}
