"""Runs `scim2 test` with longer timeouts for busy machines: its client times out after 5 seconds and has no option."""

import sys

import httpx2
from scim2_cli import cli

limits = httpx2._config.DEFAULT_TIMEOUT_CONFIG
limits.connect = limits.read = limits.write = limits.pool = 180.0

sys.exit(cli())
