"""The proxy as a program: in one process, or as several with one that watches over them."""
