"""``strongroom doctor``: what this machine can do, and what attacks on a running program achieve."""
