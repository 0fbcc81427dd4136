"""`python -m benchmarks`, from the root of a checkout."""

from benchmarks.cli import app
from ter_fast.cli.common import run

if __name__ == "__main__":
    run(app)
