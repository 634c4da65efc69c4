"""`python -m lorascope`, the same as the `lorascope` command."""

from lorascope.cli.app import main

if __name__ == "__main__":
    main()
