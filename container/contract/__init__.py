"""What crosses between the places of execution; standard library only."""
