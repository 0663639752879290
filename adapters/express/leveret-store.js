// A session store for express-session that merges: two requests of one session that change different attributes
// keep both changes, and a request that was under way at a logout does not bring the session back.
// It speaks SESSION.* over a client of the package `redis`; see README.md.
'use strict'
const { randomUUID } = require('node:crypto')
const { Store } = require('express-session')

// What the request was handed: kept beside its session, never stored.
const LOADED = Symbol('leveret')
const DAY_MS = 86_400_000

class LeveretStore extends Store {
  /** `client`: a connected client of `redis`; `prefix`: of keys; `ttlMs`: of sessions whose cookie has no maxAge. */
  constructor ({ client, prefix = 'sess:', ttlMs = DAY_MS }) {
    super()
    Object.assign(this, { client, prefix, ttlMs })
  }

  send (...words) {
    return this.client.sendCommand(words.map(String))
  }

  get (sid, callback) {
    answer(callback, async () => {
      const loaded = await this.send('SESSION.LOAD', this.prefix + sid)
      if (!loaded) return null
      const [token, , , , pairs] = loaded
      const stored = entries(pairs)
      const data = {}
      for (const [name, json] of stored) data[name] = JSON.parse(json)
      return Object.assign(data, { [LOADED]: { token, stored } })
    })
  }

  /** express-session makes the session of a request out of what `get` gave; what was loaded goes with it. */
  createSession (request, data) {
    const loaded = data[LOADED]
    return Object.assign(super.createSession(request, data), { [LOADED]: loaded })
  }

  set (sid, session, callback) {
    answer(callback, async () => {
      const loaded = session[LOADED]
      const now = new Map(Object.keys(session).map((name) => [name, JSON.stringify(plain(session[name]))]))
      for (const [name, json] of now) if (json === undefined) now.delete(name)
      const before = loaded ? loaded.stored : new Map()
      const changed = [...now].filter(([name, json]) => before.get(name) !== json)
      const removed = [...before.keys()].filter((name) => !now.has(name))
      const words = ['SESSION.COMMIT', this.prefix + sid, loaded ? loaded.token : '', randomUUID()]
      if (!loaded) words.push('NEW')
      words.push('PX', this.ttl(session), 'SET', changed.length, ...changed.flat(), 'DEL', removed.length, ...removed)
      const token = await this.commit(words)
      // the same request may save once more
      if (token) session[LOADED] = { token, stored: now }
    })
  }

  /** The token after a commit; undefined if the session has ended meanwhile: the change is dropped. */
  async commit (words) {
    try {
      const answered = await this.send(...words)
      return answered ? answered[0] : undefined
    } catch (error) {
      if (/^GONE/.test(error.message)) return undefined
      throw error
    }
  }

  touch (sid, session, callback) {
    answer(callback, () => this.send('PEXPIRE', this.prefix + sid, this.ttl(session)))
  }

  destroy (sid, callback) {
    answer(callback, () => this.send('SESSION.DESTROY', this.prefix + sid))
  }

  ttl (session) {
    const expires = session?.cookie?.expires
    return Math.max(1, expires ? new Date(expires).getTime() - Date.now() : this.ttlMs)
  }
}

/** Names and values: an array in RESP 2, an object in RESP 3. */
function entries (pairs) {
  if (!Array.isArray(pairs)) return new Map(pairs instanceof Map ? pairs : Object.entries(pairs))
  const map = new Map()
  for (let at = 0; at < pairs.length; at += 2) map.set(pairs[at], pairs[at + 1])
  return map
}

/** A cookie without the time that is left, which changes at every request. */
function plain (value) {
  if (!value || typeof value !== 'object' || typeof value.originalMaxAge === 'undefined') return value
  const { expires, ...rest } = typeof value.toJSON === 'function' ? value.toJSON() : value
  return rest
}

function answer (callback = () => {}, work) {
  Promise.resolve().then(work).then((value) => callback(null, value ?? null), callback)
}

module.exports = { LeveretStore }
