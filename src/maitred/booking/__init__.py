"""The life of a booking: quote, hold, confirm, release."""
