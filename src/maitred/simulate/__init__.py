"""Seeded service days, replayed through the real code, policies side by side."""
