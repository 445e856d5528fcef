"""The EDA report of a run: figures, sections and the page that holds them."""
