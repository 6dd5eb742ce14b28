"""The command line as ``python -m segkit``, for systems whose search path lacks the command."""

from segkit.cli import main

if __name__ == "__main__":
    main()
