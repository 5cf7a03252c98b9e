"""The report of a results.json: tables, pictures and a page."""
