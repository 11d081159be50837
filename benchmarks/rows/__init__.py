"""How fast rows of a table are answered, by Bonafide and by MLServer, beside the bare loop."""
