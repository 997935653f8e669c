"""Assigning tables without a person: attempts, when to try again, and whole days."""
