"""The reference pages: a module for each, with `text()`, and what they share."""
