"""What a data set is: its formats, and its rows in the order of time."""
