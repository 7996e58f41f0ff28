"""From what is asked to what is done: a request resolved once, for library, command line and service. Free of torch."""
