"""The demo: a real service day, assigned from the first booking to the last, and what came of it."""
