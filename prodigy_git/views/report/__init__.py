"""The report of a job: one value with all there is to say, and one HTML page that shows it."""
