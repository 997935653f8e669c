# ruff: noqa: A005 - tests are in rooms that are named as those they test
