"""Runs `scim2 test` with a time limit that a busy machine keeps: the program has no option for it, and its client gives up
after 5 seconds."""

import sys

import httpx2
from scim2_cli import cli

limits = httpx2._config.DEFAULT_TIMEOUT_CONFIG
limits.connect = limits.read = limits.write = limits.pool = 180.0

sys.exit(cli())
