"""Events as records, and back."""
