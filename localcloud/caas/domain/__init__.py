"""What the service does, apart from HTTP and from the daemon."""
