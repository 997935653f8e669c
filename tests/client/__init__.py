"""The client, against the real interface."""
