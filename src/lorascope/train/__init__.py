"""Dataset and base model -> adapter: step plan, loop, checkpoints, step log."""
