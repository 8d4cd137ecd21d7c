"""The pages of docs/reference/, made of the tables that the programs themselves go by."""
