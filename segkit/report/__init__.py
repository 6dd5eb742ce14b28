"""Turns an executed notebook into a report, and all reports into an index; both work offline."""
