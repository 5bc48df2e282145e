"""A till that speaks Concert E+ by pypostelium. Prints a line of JSON for each thing that happens; its log is on stderr."""
import json
import logging
import sys

from pypostelium import Driver


class Till(Driver):
    def parse_terminal_answer(self, message, data):
        answer = Driver.parse_terminal_answer(self, message, data)
        print(json.dumps({"result": int(answer["transaction_result"]), "amount": int(answer["amount_msg"])}), flush=True)
        return answer


def main():
    logging.basicConfig(level=logging.INFO)
    till = Till({"telium_terminal_device_name": sys.argv[1], "telium_terminal_retry_count": 2})
    sale = {"amount": float(sys.argv[2]), "payment_mode": sys.argv[3], "currency_iso": "EUR"}
    print(json.dumps({"taken": till.transaction_start(json.dumps(sale))}), flush=True)


if __name__ == "__main__":
    main()
