"""What people see: tables in all formats, and the page."""
