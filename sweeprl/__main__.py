"""`python -m sweeprl`."""

from sweeprl.cli import main

if __name__ == "__main__":
    main()
