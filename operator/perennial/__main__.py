"""`python -m perennial`: the command, where no script of it is installed."""

from perennial.cli import main

if __name__ == "__main__":
    main()
