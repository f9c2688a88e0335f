"""Every remedy that the program prints, and the test that carries it out."""
