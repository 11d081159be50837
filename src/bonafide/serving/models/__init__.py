"""Which packages are served: where they lie, how they change, who answers for one."""
