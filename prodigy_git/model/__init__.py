"""The store's file formats as pydantic models (DESIGN, section 6)."""
