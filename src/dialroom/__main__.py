"""``python -m dialroom``."""

from dialroom.cli import main

if __name__ == "__main__":
    main()
