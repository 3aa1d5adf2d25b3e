"""`python -m ontogeny` is the command `ontogeny`, which is how torchrun starts it."""

from ontogeny.cli import main

if __name__ == "__main__":
    main()
