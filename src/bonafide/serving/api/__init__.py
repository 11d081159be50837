"""The service API: a plain HTTP interface for people's programs, in front of the predictor."""
