"""maitred assigns restaurant tables to bookings: automatically, exactly and observably."""

__version__ = "0.1.0"
