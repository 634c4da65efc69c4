"""Proves the real collated batches before a step is spent: the gate between data and training."""
