-- Who may sign in, and who is asking: accounts and their sessions, and functions that read the claims of the
-- current request's token.

-- All claims, null outside a request.
create function auth.jwt() returns jsonb
language sql stable
set search_path = ''
as $$
    select coalesce(
        nullif(pg_catalog.current_setting('request.jwt.claim', true), ''),
        nullif(pg_catalog.current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;

-- The signed-in user's id, null without one.
create function auth.uid() returns uuid
language sql stable
set search_path = ''
as $$
    select coalesce(
        nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
        nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

-- The role the token names.
create function auth.role() returns text
language sql stable
set search_path = ''
as $$
    select coalesce(
        nullif(pg_catalog.current_setting('request.jwt.claim.role', true), ''),
        nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;

-- The signed-in user's address, as the token has it.
create function auth.email() returns text
language sql stable
set search_path = ''
as $$
    select coalesce(
        nullif(pg_catalog.current_setting('request.jwt.claim.email', true), ''),
        nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
    )
$$;

alter function auth.jwt() owner to supabase_auth_admin;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
alter function auth.email() owner to supabase_auth_admin;

-- The tables of the Auth service. Names and types are those of a hosted project, which migrations and seeds
-- rely on; columns of flows that need a mail server or another provider stay as they begin.

create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
alter type auth.aal_level owner to supabase_auth_admin;

-- Accounts. The service writes here; so may postgres, in seeds and tests.
create table auth.users (
    instance_id uuid,
    id uuid not null constraint users_pkey primary key,
    aud varchar(255),
    role varchar(255),
    email varchar(255),
    encrypted_password varchar(255),
    email_confirmed_at timestamptz,
    invited_at timestamptz,
    confirmation_token varchar(255),
    confirmation_sent_at timestamptz,
    recovery_token varchar(255),
    recovery_sent_at timestamptz,
    email_change_token_new varchar(255),
    email_change varchar(255),
    email_change_sent_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    is_super_admin boolean,
    created_at timestamptz,
    updated_at timestamptz,
    phone text default null constraint users_phone_key unique,
    phone_confirmed_at timestamptz,
    phone_change text default '',
    phone_change_token varchar(255) default '',
    phone_change_sent_at timestamptz,
    confirmed_at timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
    email_change_token_current varchar(255) default '',
    email_change_confirm_status smallint default 0
        constraint users_email_change_confirm_status_check check (email_change_confirm_status between 0 and 2),
    banned_until timestamptz,
    reauthentication_token varchar(255) default '',
    reauthentication_sent_at timestamptz,
    is_sso_user boolean not null default false,
    deleted_at timestamptz,
    is_anonymous boolean not null default false
);
alter table auth.users enable row level security;
alter table auth.users owner to supabase_auth_admin;
create unique index users_email_partial_key on auth.users (email) where is_sso_user = false;
create index users_instance_id_email_idx on auth.users (instance_id, lower(email));
create index users_is_anonymous_idx on auth.users (is_anonymous);
comment on table auth.users is 'Accounts: how they sign in, and what their tokens say.';
comment on column auth.users.encrypted_password is 'A bcrypt hash.';
comment on column auth.users.raw_app_meta_data is 'What only an admin may set; in the token as app_metadata.';
comment on column auth.users.raw_user_meta_data is 'What the user may set; in the token as user_metadata.';

-- By which means an account is known: one row for its address, one for its phone number.
create table auth.identities (
    provider_id text not null,
    user_id uuid not null references auth.users (id) on delete cascade,
    identity_data jsonb not null,
    provider text not null,
    last_sign_in_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    email text generated always as (lower(identity_data ->> 'email')) stored,
    id uuid not null default gen_random_uuid() constraint identities_pkey primary key,
    constraint identities_provider_id_provider_unique unique (provider_id, provider)
);
alter table auth.identities enable row level security;
alter table auth.identities owner to supabase_auth_admin;
create index identities_user_id_idx on auth.identities (user_id);
create index identities_email_idx on auth.identities (email text_pattern_ops);
comment on table auth.identities is 'By which means an account is known.';

-- A sign-in, from the password to the sign-out. Its access tokens name it.
create table auth.sessions (
    id uuid not null constraint sessions_pkey primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    created_at timestamptz,
    updated_at timestamptz,
    factor_id uuid,
    aal auth.aal_level,
    not_after timestamptz,
    refreshed_at timestamp,
    user_agent text,
    ip inet,
    tag text
);
alter table auth.sessions enable row level security;
alter table auth.sessions owner to supabase_auth_admin;
create index sessions_user_id_idx on auth.sessions (user_id);
comment on table auth.sessions is 'Sign-ins that have not been ended.';
comment on column auth.sessions.refreshed_at is 'In UTC.';

-- How the user of a session proved who they are; the claim amr.
create table auth.mfa_amr_claims (
    session_id uuid not null references auth.sessions (id) on delete cascade,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    authentication_method text not null,
    id uuid not null constraint amr_id_pk primary key,
    constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method)
);
alter table auth.mfa_amr_claims enable row level security;
alter table auth.mfa_amr_claims owner to supabase_auth_admin;
comment on table auth.mfa_amr_claims is 'How the user of a session proved who they are.';

-- Tokens that buy new access tokens. Each serves once: its successor names it as parent.
create table auth.refresh_tokens (
    instance_id uuid,
    id bigserial constraint refresh_tokens_pkey primary key,
    token varchar(255) constraint refresh_tokens_token_unique unique,
    user_id varchar(255),
    revoked boolean,
    created_at timestamptz,
    updated_at timestamptz,
    parent varchar(255),
    session_id uuid references auth.sessions (id) on delete cascade
);
alter table auth.refresh_tokens enable row level security;
alter table auth.refresh_tokens owner to supabase_auth_admin;
create index refresh_tokens_session_id_revoked_idx on auth.refresh_tokens (session_id, revoked);
comment on table auth.refresh_tokens is 'Tokens that buy new access tokens, each once.';

-- As on the platform: postgres reads and writes rows, refers to them and hangs triggers on the tables, and may
-- let others read. It does not own them, and the roles of the Data API see nothing.
grant insert, update, delete, truncate, references, trigger
    on auth.users, auth.identities, auth.sessions, auth.mfa_amr_claims, auth.refresh_tokens to postgres;
grant select
    on auth.users, auth.identities, auth.sessions, auth.mfa_amr_claims, auth.refresh_tokens to postgres
    with grant option;
grant usage, select on sequence auth.refresh_tokens_id_seq to postgres;
