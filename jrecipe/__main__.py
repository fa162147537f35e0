"""`python -m jrecipe` is the `jrecipe` command."""

from jrecipe.cli import main

if __name__ == "__main__":
    main()
