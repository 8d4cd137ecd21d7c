"""One request and its answer: what it sends and gets, the memory and the place that it takes, its record."""
