"""Where images come from: folders and Parquet files, on disk and in buckets, and the offline sample."""
