"""The store's file formats as data (DESIGN, section 6)."""
