"""`python -m ter_fast`: the same as the command `ter-fast`."""

from ter_fast.cli import main

if __name__ == "__main__":
    main()
