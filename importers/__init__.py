"""The mail room: one module for each file format. It recognises its files and says what is in them; it writes nothing."""
