"""What a process does that was started to read checkpoints."""

from ontogeny.readers.folders import read_folder
from ontogeny.readers.process import serve
from ontogeny.readers.readings import read_run

READS = {"run": read_run, "folder": read_folder}  # by what a question names

if __name__ == "__main__":
    serve(READS)
