-- Notes, each seen and written by its owner alone; applied as the role postgres.
create table public.notes (
    id bigint generated always as identity primary key,
    owner uuid not null default auth.uid(),
    body text not null,
    stars int not null default 0 check (stars >= 0),
    tags text[] not null default '{}'
);
alter table public.notes enable row level security;
create index on public.notes (owner);
grant select, insert, update, delete on public.notes to authenticated;
create policy "Owners do as they like with their notes" on public.notes
    for all to authenticated
    using (owner = (select auth.uid()))
    with check (owner = (select auth.uid()));
alter publication supabase_realtime add table public.notes;

-- How many stars the caller's notes have in all.
create function public.total_stars(at_least int default 0) returns bigint
language sql stable security invoker set search_path = ''
as $$
    select coalesce(sum(note.stars), 0)
    from public.notes as note
    where note.stars >= total_stars.at_least
$$;
revoke execute on function public.total_stars(int) from public;
grant execute on function public.total_stars(int) to authenticated;

-- Each member has a private channel: its topic is their id.
create policy "Members hear their own channel" on realtime.messages
    for select to authenticated
    using ((select realtime.topic()) = (select auth.uid())::text);
create policy "Members speak on their own channel" on realtime.messages
    for insert to authenticated
    with check ((select realtime.topic()) = (select auth.uid())::text);

notify pgrst, 'reload schema';
