"""The `bonafide` command, one module a command group."""
