"""Job records, queue, storage and settings that front end and workers share."""
