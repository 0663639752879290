// The application of the checks, for express-session, connect-redis and redis: see run for its routes.
const fs = require('node:fs')
const express = require('express')
const session = require('express-session')
const { RedisStore } = require('connect-redis')
const { createClient } = require('redis')

// `merging`: the store of adapters/express instead of connect-redis
const merging = process.argv[2] === 'merging'
const wait = (path) => new Promise((done) => {
  const look = () => (fs.existsSync(path) ? done() : setTimeout(look, 10))
  look()
})

async function main () {
  const client = createClient({ url: process.env.STORE_URL })
  client.on('error', (error) => console.error(error))
  await client.connect()
  const app = express()
  app.use(session({
    store: merging ? new (require('../../adapters/express/leveret-store.js').LeveretStore)({ client }) : new RedisStore({ client }),
    secret: 'a test', resave: false, saveUninitialized: false, name: 'sid'
  }))
  const show = (request, response) =>
    response.json({ user: request.session.user ?? null, count: request.session.count ?? 0, note: request.session.note ?? null, id: request.sessionID })
  app.get('/show', show)
  app.get('/add', (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1
    show(request, response)
  })
  app.get('/note', (request, response) => {
    request.session.note = request.query.text
    show(request, response)
  })
  app.get('/login', (request, response, next) => {
    const count = request.session.count
    request.session.regenerate((error) => {
      if (error) return next(error)
      Object.assign(request.session, { user: request.query.user, count })
      show(request, response)
    })
  })
  app.get('/logout', (request, response, next) =>
    request.session.destroy((error) => (error ? next(error) : response.json({ user: null, count: 0, id: null }))))
  app.get('/slow', async (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1
    fs.writeFileSync(request.query.begun, '')
    await wait(request.query.go)
    show(request, response)
  })
  const server = app.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`))
}

main().catch((error) => { console.error(error); process.exit(1) })
