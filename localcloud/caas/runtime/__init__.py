"""What runs the rented containers."""
