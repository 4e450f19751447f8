"""The commands of `python -m simulator`, a file each: `add_parser` adds its flags, the function it sets carries it out."""
