"""Adapter and split -> one score per example, then metrics with intervals."""
