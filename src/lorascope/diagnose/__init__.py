"""Step log -> findings with evidence and one next action. Reads files only; never loads torch."""
