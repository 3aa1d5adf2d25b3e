"""What a process does that was started for pieces of work."""

from ontogeny.work.process import serve

if __name__ == "__main__":
    serve()
