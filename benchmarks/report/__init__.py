"""Tables, CSV files, Markdown and the HTML report of results."""
