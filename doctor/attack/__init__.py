"""``strongroom doctor --attack``: everything that the threat model speaks about, tried on a running program."""
