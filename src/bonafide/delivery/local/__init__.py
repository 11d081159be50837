"""One environment of the delivery repository, served here: predictors, the split, their samples."""
