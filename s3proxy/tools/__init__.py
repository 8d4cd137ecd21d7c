"""What `strongroom s3` does with a whole bucket."""
