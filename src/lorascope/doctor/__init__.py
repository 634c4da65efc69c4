"""Is this machine ready? One line per thing that could stop or slow a run, with the fix beside it."""
