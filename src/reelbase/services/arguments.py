"""Kinds of arguments that several services take."""

from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address

Number = int | float | Decimal
Address = str | IPv4Address | IPv6Address
