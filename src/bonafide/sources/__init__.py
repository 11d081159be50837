"""Where images come from: folders, Parquet files, buckets, the Hugging Face Hub, and the offline sample."""
