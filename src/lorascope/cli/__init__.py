"""The command line: one file per command. The only place that prints and that catches our errors."""
