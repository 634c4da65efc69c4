"""Rules on the losses of single rows, paired between evaluations: only our own runs keep them."""
