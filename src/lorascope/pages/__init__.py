"""HTML and SVG pieces that the stages share: data in, self-contained markup out."""
