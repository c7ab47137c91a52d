#!/usr/bin/env python3
"""A program for the module `exec`: pays once a second for as long as it lives, under its own fence. It ends
when it is told that a newer process has taken over.

usage: payer.py URL
"""
import os
import sys
import time
import urllib.error
import urllib.request


def pay(url, text):
    request = urllib.request.Request(f"{url}/payments", data=text.encode(), method="POST", headers={
        "Banyan-Child": os.environ["BANYAN_CHILD_PATH"],
        "Banyan-Fence": os.environ["BANYAN_FENCE"],
    })
    try:
        urllib.request.urlopen(request, timeout=5)
        return True
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        print(error.read().decode(), file=sys.stderr)
        return False


if __name__ == "__main__":
    number = 1
    while pay(sys.argv[1], f"payment {number} of process {os.getpid()}"):
        number += 1
        time.sleep(1)
    sys.exit(75)
