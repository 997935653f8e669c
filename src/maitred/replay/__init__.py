"""The flight recorder: what each quote keeps so that it can be decided again, explained, and decided otherwise."""
