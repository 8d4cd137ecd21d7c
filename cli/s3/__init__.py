"""``strongroom s3``: work on sealed buckets that needs no running proxy."""
