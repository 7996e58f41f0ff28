"""Resolution of requests into edits, for library, command line and service. Free of torch."""
