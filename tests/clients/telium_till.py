"""A till that speaks Concert E+ by pyTeliumManager. Prints a line of JSON for each thing that happens."""
import argparse
import json
import os
import sys

from telium import Telium, TeliumAsk
from telium.manager import TerminalInitializationFailedException


def say(**what):
    print(json.dumps(what), flush=True)


class Till(Telium):
    """Ends without a word between answer and acknowledgement, where it is told to."""
    dies = False

    def _read_answer(self, *args, **kwargs):
        answer = Telium._read_answer(self, *args, **kwargs)
        if self.dies:
            say(read=answer.transaction_result)
            os._exit(9)
        return answer


def main():
    args = argparse.ArgumentParser()
    args.add_argument("port")
    args.add_argument("what", choices=["debit", "credit", "refund", "ready"])
    args.add_argument("amount", type=float, nargs="?", default=1.0)
    args.add_argument("--number", default="1")
    args.add_argument("--currency", default="EUR")
    args.add_argument("--short", action="store_true")
    args.add_argument("--at-once", action="store_true")
    args.add_argument("--dies-before-ack", action="store_true")
    args.add_argument("--closes-after-request", action="store_true")
    args = args.parse_args()

    till = Till(args.port)
    till.dies = args.dies_before_ack
    if args.what == "ready":
        return say(ready=till.is_ok())
    ask = TeliumAsk.new_payment(
        args.amount, payment_mode=args.what, target_currency=args.currency, checkout_unique_id=args.number,
        wait_for_transaction_to_end=not args.at_once, collect_payment_source_info=not args.short)
    try:
        say(asked=till.ask(ask))
    except TerminalInitializationFailedException:
        return say(asked="busy")
    if args.closes_after_request:
        till.close()
        return say(closed=True)
    answer = till.verify(ask)
    if answer is None:
        return say(result=None)
    say(result=answer.transaction_result, succeeded=answer.has_succeeded, amount=answer.amount,
        currency=answer.currency_numeric, private=answer.private, report=len(answer.repport))


if __name__ == "__main__":
    sys.exit(main())
