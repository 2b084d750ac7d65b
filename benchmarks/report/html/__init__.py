"""The report as one HTML file: the numbers, the pictures and how they were made."""
