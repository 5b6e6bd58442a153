"""`python -m study` is `twice`."""

from .command import main

if __name__ == "__main__":
    main()
