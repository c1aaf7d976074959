// What an application does with supabase-js, checked against the stack that the environment names.
//
//     API_URL=… API_KEY=… node client.mjs
//
// Prints a line for each capability that works and ends with 0; the first one that fails ends it with 1.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

import { createClient } from '@supabase/supabase-js'
import WebSocket from 'ws'

const DEADLINE_MS = 10_000
const PASSWORD = 'correct horse'
const { API_URL, API_KEY } = process.env

// Node.js has a WebSocket of its own only since 22.
const options = { realtime: { transport: WebSocket }, auth: { persistSession: false } }
const alice = createClient(API_URL, API_KEY, options)
const bob = createClient(API_URL, API_KEY, options)
const email = `${randomUUID()}@example.com`

const capabilities = {
  'sign up': async () => {
    const { session } = await data(alice.auth.signUp({ email, password: PASSWORD }))
    assert.equal(session.user.email, email)
    const other = { email: `${randomUUID()}@example.com`, password: PASSWORD }
    assert.ok((await data(bob.auth.signUp(other))).session)
  },

  'sign out': async () => {
    await alice.auth.signOut()
    assert.equal((await alice.auth.getSession()).data.session, null)
  },

  'sign in': async () => {
    const { error } = await alice.auth.signInWithPassword({ email, password: 'wrong' })
    assert.equal(error.code, 'invalid_credentials')
    await data(alice.auth.signInWithPassword({ email, password: PASSWORD }))
    assert.equal((await data(alice.auth.getUser())).user.email, email)
    const { claims } = await data(alice.auth.getClaims())
    assert.equal(claims.role, 'authenticated')
  },

  'refresh of the session': async () => {
    const { session } = await data(alice.auth.refreshSession())
    assert.equal(session.user.email, email)
  },

  insert: async () => {
    const notes = [
      { body: 'first', stars: 1, tags: ['a'] },
      { body: 'second', stars: 2, tags: ['a', 'b'] },
      { body: 'third', stars: 3 },
    ]
    const rows = await data(alice.from('notes').insert(notes, { defaultToNull: false }).select('body, stars'))
    assert.deepEqual(rows, notes.map(({ body, stars }) => ({ body, stars })))
    await data(bob.from('notes').insert({ body: 'not hers', stars: 100 }))
  },

  'select with filters': async () => {
    const found = alice.from('notes').select('body', { count: 'exact' })
    const filtered = await found.gte('stars', 2).order('stars', { ascending: false }).range(0, 0)
    assert.deepEqual([filtered.data, filtered.count], [[{ body: 'third' }], 2])
    const bodies = async (query) => (await data(query.order('id'))).map(({ body }) => body)
    const notes = () => alice.from('notes').select('body')
    assert.deepEqual(await bodies(notes()), ['first', 'second', 'third'])
    assert.deepEqual(await bodies(notes().in('body', ['first', 'third'])), ['first', 'third'])
    assert.deepEqual(await bodies(notes().contains('tags', ['b'])), ['second'])
    assert.deepEqual(await bodies(notes().or('body.ilike.FIR%,and(stars.gt.2,stars.lt.4)')), ['first', 'third'])
    assert.deepEqual(await data(notes().eq('stars', 2).single()), { body: 'second' })
    assert.equal(await data(notes().eq('stars', 9).maybeSingle()), null)
  },

  'update and delete': async () => {
    const changed = await data(alice.from('notes').update({ stars: 4 }).eq('body', 'third').select('stars'))
    assert.deepEqual(changed, [{ stars: 4 }])
    const { count } = await alice.from('notes').delete({ count: 'exact' }).eq('body', 'second')
    assert.equal(count, 1)
  },

  rpc: async () => {
    assert.equal(await data(alice.rpc('total_stars')), 5)
    assert.equal(await data(alice.rpc('total_stars', { at_least: 2 })), 4)
    assert.equal(await data(alice.rpc('total_stars', { at_least: 2 }, { get: true })), 4)
  },

  errors: async () => {
    const checked = await alice.from('notes').insert({ body: 'bad', stars: -1 })
    assert.deepEqual([checked.status, checked.error.code], [400, '23514'])
    const stolen = await alice.from('notes').insert({ body: 'hers', owner: randomUUID() })
    assert.deepEqual([stolen.status, stolen.error.code], [403, '42501'])
    const missing = await alice.rpc('no_such_function')
    assert.deepEqual([missing.status, missing.error.code], [404, 'PGRST202'])
  },

  'realtime postgres_changes': async () => {
    const changes = new Inbox()
    const confirmed = new Inbox()
    const channel = alice
      .channel('notes')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'notes' }, changes.put)
      .on('system', {}, confirmed.put)
    await subscribed(channel)
    assert.equal((await confirmed.take()).message, 'Subscribed to PostgreSQL')
    await data(bob.from('notes').insert({ body: 'not hers either' }))
    const note = { body: 'live', stars: 7 }
    const { id } = await data(alice.from('notes').insert(note).select('id').single())
    // Each in turn: whether a row may be seen is asked when its change is delivered.
    const inserted = await changes.take()
    assert.deepEqual([inserted.eventType, inserted.new.id, inserted.new.stars], ['INSERT', id, 7])
    await data(alice.from('notes').update({ stars: 8 }).eq('id', id))
    const updated = await changes.take()
    assert.deepEqual([updated.eventType, updated.new.stars], ['UPDATE', 8])
    await data(alice.from('notes').delete().eq('id', id))
    const deleted = await changes.take()
    assert.deepEqual([deleted.eventType, deleted.old], ['DELETE', { id }])
  },

  'realtime broadcast': async () => {
    const topic = randomUUID()
    const heard = new Inbox()
    const speaker = bob.channel(topic, { config: { broadcast: { ack: true } } })
    await subscribed(alice.channel(topic).on('broadcast', { event: 'hi' }, heard.put))
    await subscribed(speaker)
    assert.equal(await speaker.send({ type: 'broadcast', event: 'hi', payload: { n: 1 } }), 'ok')
    assert.deepEqual((await heard.take()).payload, { n: 1 })
    await speaker.httpSend('hi', { n: 2 })
    assert.deepEqual((await heard.take()).payload, { n: 2 })
  },

  'realtime private channel': async () => {
    const topic = (await data(alice.auth.getUser())).user.id
    const options = { config: { private: true, broadcast: { self: true } } }
    const heard = new Inbox()
    const own = alice.channel(topic, options).on('broadcast', { event: 'hi' }, heard.put)
    await subscribed(own)
    await own.send({ type: 'broadcast', event: 'hi', payload: { n: 3 } })
    assert.deepEqual((await heard.take()).payload, { n: 3 })
    await assert.rejects(subscribed(bob.channel(topic, options)), /CHANNEL_ERROR/)
  },

  'realtime presence': async () => {
    const topic = randomUUID()
    const [watcher, guest] = [alice, bob].map((client, n) =>
      client.channel(topic, { config: { presence: { key: ['alice', 'bob'][n] } } }),
    )
    const joins = new Inbox()
    const leaves = new Inbox()
    watcher.on('presence', { event: 'join' }, joins.put).on('presence', { event: 'leave' }, leaves.put)
    await subscribed(watcher)
    await subscribed(guest)
    assert.equal(await guest.track({ mood: 'calm' }), 'ok')
    const { key, newPresences } = await joins.take()
    assert.deepEqual([key, newPresences[0].mood], ['bob', 'calm'])
    assert.deepEqual(Object.keys(watcher.presenceState()), ['bob'])
    assert.equal(await guest.untrack(), 'ok')
    assert.equal((await leaves.take()).key, 'bob')
    assert.deepEqual(watcher.presenceState(), {})
  },
}

// What events leave for whoever waits for them.
class Inbox {
  #items = []
  #waiting = []

  put = (item) => {
    const resolve = this.#waiting.shift()
    if (resolve) resolve(item)
    else this.#items.push(item)
  }

  take() {
    if (this.#items.length) return Promise.resolve(this.#items.shift())
    return intime(new Promise((resolve) => this.#waiting.push(resolve)))
  }
}

async function intime(promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came within ${DEADLINE_MS} ms`)), DEADLINE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

async function data(request) {
  const answer = await request
  assert.ifError(answer.error)
  return answer.data
}

function subscribed(channel) {
  return intime(
    new Promise((resolve, reject) => {
      channel.subscribe((status, error) => {
        if (status === 'SUBSCRIBED') resolve()
        else reject(new Error(`${status} ${error?.message ?? ''}`))
      })
    }),
  )
}

try {
  for (const [name, check] of Object.entries(capabilities)) {
    await check()
    console.log(`ok: ${name}`)
  }
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
await Promise.all([alice, bob].map((client) => client.removeAllChannels()))
// A channel that was left keeps a timer for another ten seconds.
process.exit()
