"""HTML and SVG pieces that check, watch, compare, prefer and report share: data in, self-contained markup out."""
