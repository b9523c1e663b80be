"""The chart and the image: what is rendered, and what runs of it."""
