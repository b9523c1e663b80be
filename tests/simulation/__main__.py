"""`python -m tests.simulation`: see `tests.simulation.driver`."""

from tests.simulation.driver import main

if __name__ == "__main__":
    main()
