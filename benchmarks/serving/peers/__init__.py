"""Other model servers, each written as its own documentation writes it."""
