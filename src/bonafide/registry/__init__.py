"""MLflow: runs, registered versions, aliases and lineage."""
