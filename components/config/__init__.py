"""What a user may say, checked before anyone is asked."""
