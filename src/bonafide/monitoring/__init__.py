"""Whether a version in service needs training: what it was asked, how it did, and what follows."""
