"""A whole service at once, with a proved bound; prices of tables by time; moves."""
