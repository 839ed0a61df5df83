"""`python -m source_stripe`."""

from source_stripe.run import run

if __name__ == "__main__":
    run()
