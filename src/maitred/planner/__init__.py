"""Choosing tables. Pure: values in, values out; the same question always gets the same answer."""
