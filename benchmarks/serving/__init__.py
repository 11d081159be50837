"""How fast Bonafide serves, against the bare loop and against other servers on the same cores."""
