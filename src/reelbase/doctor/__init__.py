"""What `reelbase doctor` examines: settings, keys, operations, schema, Realtime."""
