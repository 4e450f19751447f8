"""Many worlds: the same experiment in each, so that a method is judged and not one model's luck."""
