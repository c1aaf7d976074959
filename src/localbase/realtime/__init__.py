"""A stand-in for Supabase Realtime: database changes, broadcast and presence over WebSockets."""

from localbase.realtime.server import RealtimeServer

__all__ = ["RealtimeServer"]
