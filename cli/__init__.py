"""The front door: parse, hand over, show. One module per noun."""
