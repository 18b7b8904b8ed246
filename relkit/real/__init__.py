"""The real systems: their adapters as a world's file names them, and production made of them."""
