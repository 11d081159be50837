"""How fast, how good, against what: each module is a command that writes a page of docs/benchmarks."""
