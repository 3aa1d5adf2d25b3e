"""What a process does that was started to read checkpoints."""

from ontogeny.readers.process import serve

if __name__ == "__main__":
    serve()
