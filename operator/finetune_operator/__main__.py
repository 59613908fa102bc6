"""Runs the operator: `python -m finetune_operator`."""

import sys


def main() -> int:
    """Run the command line."""
    from finetune_operator.runtime.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
