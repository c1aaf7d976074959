-- The end of the migrations: keeps what they made, for verify_database_schema(). A migration that is added later ends
-- with the same call.

select private.record_schema();
