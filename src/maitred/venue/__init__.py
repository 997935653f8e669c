"""A venue with its floor and policy: importing one from a file, and loading it from the database."""
