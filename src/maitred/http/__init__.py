"""The HTTP interface: what a booking site, a venue's staff and an operator call."""
