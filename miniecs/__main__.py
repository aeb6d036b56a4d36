"""``python -m miniecs``: how the supervisor starts its server, whatever is on the path."""

from miniecs.cli import main

if __name__ == "__main__":
    main()
