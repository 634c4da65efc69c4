"""Exact math on tensors and modules; it knows no recipe, path or model name."""
