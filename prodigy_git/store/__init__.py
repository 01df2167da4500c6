"""Reading and writing the store's files."""
