"""Pure functions of arrays: likelihood, uncertainty, divergence, text match, repetition. No torch."""
