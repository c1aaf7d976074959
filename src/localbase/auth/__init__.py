"""Accounts and sessions, as the Auth service of Supabase serves them under /auth/v1."""

from localbase.auth.request import AuthRequest
from localbase.auth.server import AuthServer

__all__ = ["AuthRequest", "AuthServer"]
