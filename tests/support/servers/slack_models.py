"""Reads a Slack message on stdin and lets Slack's own SDK judge its blocks. Exits 1 and says why where it objects."""

import json
import sys
import warnings

from slack_sdk.models.blocks import Block

warnings.simplefilter("error")  # the SDK only warns about keys that it does not know

for number, sent in enumerate(json.load(sys.stdin)["blocks"]):
    try:
        block = Block.parse(sent)
        if block is None:
            raise ValueError("a type that the SDK does not know")
        block.validate_json()
        understood = block.to_dict()
        if understood != sent:  # what the SDK did not understand it drops
            raise ValueError(f"the SDK understood {json.dumps(understood)}")
    except Exception as why:
        sys.exit(f"blocks[{number}] = {json.dumps(sent)}: {why!r}")
