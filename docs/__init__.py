"""Documentation: pages for people, and the program that generates the reference from the code."""
