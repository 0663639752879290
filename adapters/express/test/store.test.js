// The store without Express, against a node: LEVERET_URL=redis://127.0.0.1:6379 node --test
'use strict'
const { after, before, test } = require('node:test')
const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')
const { promisify } = require('node:util')
const { createClient } = require('redis')
const { LeveretStore } = require('../leveret-store.js')

const clients = []
const stores = []

before(async () => {
  for (const RESP of [2, 3]) {
    const client = createClient({ url: process.env.LEVERET_URL, RESP })
    await client.connect()
    clients.push(client)
    const store = new LeveretStore({ client, prefix: 'test:' })
    stores.push({
      load: async (sid) => {
        const data = await promisify(store.get.bind(store))(sid)
        return data && store.createSession({ sessionID: sid, sessionStore: store }, data)
      },
      set: promisify(store.set.bind(store)),
      touch: promisify(store.touch.bind(store)),
      destroy: promisify(store.destroy.bind(store))
    })
  }
})

after(() => clients.forEach((client) => client.destroy()))

const fresh = (more) => ({ cookie: { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000), path: '/' }, ...more })

async function begun (more) {
  const sid = randomUUID()
  await stores[0].set(sid, fresh(more))
  return sid
}

test('what was set is loaded, in RESP 2 and 3, and an unknown id is nothing', async () => {
  const sid = await begun({ user: 'hare', cart: [1, { two: 'ü' }] })
  for (const store of stores) {
    const session = await store.load(sid)
    assert.deepEqual([session.user, session.cart, session.cookie.originalMaxAge], ['hare', [1, { two: 'ü' }], 60_000])
    assert.equal(await store.load(randomUUID()), null)
  }
})

test('two requests that change different properties keep both, and a removed one stays away', async () => {
  const sid = await begun({ one: 1, other: 1, old: 1 })
  const [slow, fast] = [await stores[0].load(sid), await stores[1].load(sid)]
  fast.other = 2
  delete fast.old
  await stores[1].set(sid, fast)
  slow.one = 2
  await stores[0].set(sid, slow)
  const { one, other, old } = await stores[1].load(sid)
  assert.deepEqual({ one, other, old }, { one: 2, other: 2, old: undefined })
})

test('a change inside an object is seen, and a request may save twice', async () => {
  const sid = await begun({ cart: { apples: 1 } })
  const session = await stores[0].load(sid)
  session.cart.apples = 2
  await stores[0].set(sid, session)
  session.cart.pears = 1
  await stores[0].set(sid, session)
  assert.deepEqual((await stores[0].load(sid)).cart, { apples: 2, pears: 1 })
})

test('a save that ends after the logout is no error and brings nothing back', async () => {
  const sid = await begun({ user: 'hare' })
  const session = await stores[0].load(sid)
  await stores[1].destroy(sid)
  session.user = 'fox'
  await stores[0].set(sid, session)
  await stores[0].touch(sid, session)
  assert.equal(await stores[0].load(sid), null)
})

test('a touch lengthens the life of a session', async () => {
  const sid = await begun({})
  const longer = { cookie: { expires: new Date(Date.now() + 3_600_000) } }
  await stores[0].touch(sid, longer)
  assert.ok(Number(await clients[0].sendCommand(['PTTL', 'test:' + sid])) > 60_000)
})

test('an id that is in use already is not overwritten by a new session', async () => {
  const sid = await begun({ user: 'hare' })
  await assert.rejects(stores[0].set(sid, fresh({ user: 'fox' })), /EXISTS/)
  assert.equal((await stores[0].load(sid)).user, 'hare')
})
