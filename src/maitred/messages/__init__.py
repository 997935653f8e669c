"""What guests and venues are told: written with the change it tells of, delivered afterwards, by mail and webhook."""
