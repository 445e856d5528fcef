"""Data as a product: typed tables, validation, cleaning, preparation, Parquet and metadata."""
