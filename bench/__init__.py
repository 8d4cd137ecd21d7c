"""What Strongroom costs, measured so that anybody can measure it again."""
