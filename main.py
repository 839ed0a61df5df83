import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"source-stripe needs Python 3.11 or newer; this is {sys.version_info[0]}.{sys.version_info[1]}.")

from source_stripe.run import run

if __name__ == "__main__":
    run()
