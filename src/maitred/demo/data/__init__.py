"""The demo's venue and day, and what the original system made of them."""
