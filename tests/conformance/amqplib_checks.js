// amqplib against a running broker: URL A publishes, URL B consumes (both may be the same).
//
// Each check is a name and a function that gets a confirm channel on A and a channel on B, fresh for each check. What a
// check declares is declared on A and deleted at its end. Nothing sleeps: where "nothing comes" is to be shown, a reply
// that stands behind it is awaited.

'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const amqp = require('amqplib');

const TIMEOUT_MS = 10_000;
const RUN = Date.now().toString(16) + process.pid.toString(16);
let drawn = 0;

const unique = (word) => `conformance.amqplib.${word}.${RUN}.${drawn++}`;
const number = (message) => Number(message.content.toString());
const range = (count) => Array.from({ length: count }, (_, index) => index);

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${TIMEOUT_MS} ms for ${what}`)), TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A consumer that collects; `until(n)` resolves when n messages are here. */
async function collect(channel, queue, options) {
  const messages = [];
  const waiting = [];
  const onMessage = (message) => {
    messages.push(message);
    for (const { count, resolve } of waiting) if (messages.length >= count) resolve();
  };
  const { consumerTag } = await channel.consume(queue, onMessage, options);
  const until = (count) => {
    const here = new Promise((resolve) => {
      waiting.push({ count, resolve });
      if (messages.length >= count) resolve();
    });
    return within(here, `${count} messages`);
  };
  return { messages, consumerTag, until };
}

async function publish(channel, queue, count) {
  for (const n of range(count)) channel.publish('', queue, Buffer.from(String(n)), { mandatory: true });
  await within(channel.waitForConfirms(), `${count} confirms`);
}

/** Expects the deed to close the channel with that code. */
async function refused(channel, code, deed) {
  const error = once(channel, 'error');
  const closed = new Promise((resolve) => channel.once('close', resolve)); // events.once would reject on 'error'
  await assert.rejects(within(Promise.resolve().then(deed), 'a refusal'), (found) => found.code === code);
  assert.equal((await within(error, 'the error event'))[0].code, code);
  await within(closed, 'the close');
}

const CHECKS = {
  '1,000 confirmed publishes arrive once each and in order': async (a, b) => {
    const queue = unique('confirms');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 1000);
    const consumer = await collect(b, queue, { noAck: true });
    await consumer.until(1000);
    assert.deepEqual(consumer.messages.map(number), range(1000));
    assert.ok(consumer.messages.every((message) => !message.fields.redelivered));
    await a.deleteQueue(queue);
  },

  'properties and bodies of 0 to 300,000 bytes arrive as they were sent': async (a, b) => {
    const queue = unique('contents');
    await a.assertQueue(queue, { durable: false });
    const options = {
      contentType: 'text/plain', contentEncoding: 'utf-8', priority: 3, correlationId: 'c', replyTo: 'r', messageId: 'm',
      timestamp: 1_700_000_000, type: 't', userId: 'guest', appId: 'a', persistent: true,
      headers: { text: 'x', number: 2 ** 40, half: 0.5, yes: true, nothing: null, list: [1, 'b'], table: { k: -1 } },
    };
    const sizes = [0, 1, 4096, 131_064, 300_000];
    for (const size of sizes) a.sendToQueue(queue, Buffer.alloc(size, 'x'), options);
    await within(a.waitForConfirms(), 'confirms');
    const consumer = await collect(b, queue, { noAck: true });
    await consumer.until(sizes.length);
    assert.deepEqual(consumer.messages.map((message) => message.content.length), sizes);
    for (const { properties, content } of consumer.messages) {
      assert.deepEqual(properties.headers, options.headers);
      assert.equal(properties.deliveryMode, 2);
      for (const name of ['contentType', 'priority', 'correlationId', 'replyTo', 'timestamp', 'userId', 'appId']) {
        assert.equal(properties[name], options[name], name);
      }
      assert.ok(content.every((byte) => byte === 'x'.charCodeAt(0)));
    }
    await a.deleteQueue(queue);
  },

  'bindings made on A route what B publishes, at once': async (a, b) => {
    const [fanout, headers, queue] = [unique('fanout'), unique('headers'), unique('bound')];
    await a.assertExchange(fanout, 'fanout', { durable: false });
    await a.assertExchange(headers, 'headers', { durable: false });
    await a.assertQueue(queue, { durable: false });
    await a.bindQueue(queue, fanout, '');
    await a.bindQueue(queue, headers, '', { 'x-match': 'all', colour: 'red', size: 2 });
    const consumer = await collect(b, queue, { noAck: true });
    b.publish(fanout, 'any', Buffer.from('0'));
    b.publish(headers, '', Buffer.from('9'), { headers: { colour: 'red' } });
    b.publish(headers, '', Buffer.from('1'), { headers: { colour: 'red', size: 2, more: true } });
    await consumer.until(2);
    assert.deepEqual(consumer.messages.map(number), [0, 1]);
    await a.deleteExchange(fanout);
    await a.deleteExchange(headers);
    await a.deleteQueue(queue);
  },

  'an unroutable mandatory message comes back with 312, then its confirm': async (a) => {
    const order = [];
    a.on('return', (message) => order.push(message));
    const options = { mandatory: true, appId: 'me' };
    const confirm = new Promise((resolve, reject) => {
      const done = (error) => (error ? reject(error) : resolve(order.push('confirm')));
      a.publish('amq.direct', unique('nowhere'), Buffer.from('back'), options, done);
    });
    await within(confirm, 'the confirm');
    assert.equal(order.length, 2);
    assert.equal(order[0].fields.replyCode, 312);
    assert.equal(order[0].fields.replyText, 'NO_ROUTE');
    assert.equal(order[0].content.toString(), 'back');
    assert.equal(order[0].properties.appId, 'me');
    assert.equal(order[1], 'confirm');
  },

  'messages that are nacked or rejected with requeue come back in their old order, marked redelivered': async (a, b) => {
    const queue = unique('requeue');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 6);
    await b.prefetch(5);
    const consumer = await collect(b, queue);
    await consumer.until(5);
    await b.cancel(consumer.consumerTag);
    const held = consumer.messages;
    b.nack(held[3], false, true);
    b.reject(held[1], true);
    b.nack(held[2], true, true);
    b.ack(held[4]);
    const found = [];
    for (const _ of range(5)) found.push(await b.get(queue, { noAck: true }));
    assert.deepEqual(found.map(number), [0, 1, 2, 3, 5]);
    assert.deepEqual(found.map((message) => message.fields.redelivered), [true, true, true, true, false]);
    await a.deleteQueue(queue);
  },

  'nack of a live consumer redelivers to it': async (a, b) => {
    const queue = unique('again');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 2);
    const consumer = await collect(b, queue);
    await consumer.until(2);
    b.nack(consumer.messages[0]);
    await consumer.until(3);
    assert.equal(number(consumer.messages[2]), 0);
    assert.ok(consumer.messages[2].fields.redelivered);
    b.ackAll();
    await b.close();
    assert.equal((await a.deleteQueue(queue)).messageCount, 0);
  },

  'a consumer with prefetch 3 holds three messages, and gets one more for each that it acks': async (a, b) => {
    const queue = unique('qos');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 10);
    await b.prefetch(3);
    const consumer = await collect(b, queue);
    await consumer.until(3);
    // The answer stands behind every delivery that the queue has made.
    assert.equal((await b.checkQueue(queue)).messageCount, 7);
    assert.equal(consumer.messages.length, 3);
    b.ack(consumer.messages[0]);
    await consumer.until(4);
    b.ack(consumer.messages[3], true);
    await consumer.until(7);
    assert.equal((await b.checkQueue(queue)).messageCount, 3);
    assert.deepEqual(consumer.messages.map(number), range(7));
    await b.close();
    await a.deleteQueue(queue);
  },

  'basic.get gives messages with the number left, and then says empty': async (a, b) => {
    const queue = unique('get');
    assert.deepEqual({ ...(await a.assertQueue(queue, { durable: false })) }, { queue, messageCount: 0, consumerCount: 0 });
    assert.equal(await b.get(queue), false);
    await publish(a, queue, 2);
    const first = await b.get(queue);
    assert.equal(first.fields.messageCount, 1);
    b.ack(first);
    const second = await b.get(queue, { noAck: true });
    assert.deepEqual([number(second), second.fields.messageCount], [1, 0]);
    assert.equal(await b.get(queue), false);
    await a.deleteQueue(queue);
  },

  'after basic.cancel nothing is delivered': async (a, b) => {
    const queue = unique('cancel');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 1);
    const consumer = await collect(b, queue, { consumerTag: 'mine', noAck: true });
    await consumer.until(1);
    assert.equal((await b.cancel('mine')).consumerTag, 'mine');
    await publish(a, queue, 1);
    const { messageCount, consumerCount } = await b.checkQueue(queue);
    assert.deepEqual([messageCount, consumerCount, consumer.messages.length], [1, 0, 1]);
    await a.deleteQueue(queue);
  },

  'a consumer is cancelled by the broker when its queue is deleted': async (a, b) => {
    const queue = unique('gone');
    await a.assertQueue(queue, { durable: false });
    const consumer = await collect(b, queue);
    await a.deleteQueue(queue);
    await consumer.until(1);
    assert.equal(consumer.messages[0], null);
  },

  '404 closes the channel only: a new one on the same connection works': async (a, b, connections) => {
    await refused(b, 404, () => b.checkQueue(unique('missing')));
    const publisher = await connections.b.createConfirmChannel();
    const error = once(publisher, 'error');
    publisher.publish(unique('missing'), 'k', Buffer.from(''), {}, () => {});
    assert.equal((await within(error, 'the error'))[0].code, 404);
    const queue = unique('after404');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 1);
    const again = await connections.b.createChannel();
    assert.equal(number(await again.get(queue, { noAck: true })), 0);
    await again.close();
    await a.deleteQueue(queue);
  },

  'closing a channel gives its unacked messages back, in order': async (a, b, connections) => {
    const queue = unique('close');
    await a.assertQueue(queue, { durable: false });
    await publish(a, queue, 3);
    const consumer = await collect(b, queue);
    await consumer.until(3);
    b.ack(consumer.messages[1]);
    await b.close();
    const again = await connections.b.createChannel();
    const rest = await collect(again, queue, { noAck: true });
    await rest.until(2);
    assert.deepEqual(rest.messages.map(number), [0, 2]);
    assert.ok(rest.messages.every((message) => message.fields.redelivered));
    await again.close();
    await a.deleteQueue(queue);
  },
};

async function main() {
  const [urlA, urlB, label] = process.argv.slice(2);
  let failed = 0;
  const report = async (name, run) => {
    try {
      await within(run(), 'the whole check');
      console.log(`PASS ${label}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${label}: ${name}: ${String(error.message ?? error).replaceAll('\n', ' ')}`);
    }
  };
  const connections = {};
  await report('login with guest', async () => {
    for (const [side, url] of [['a', urlA], ['b', urlB]]) {
      connections[side] = await amqp.connect(url);
      connections[side].on('error', () => {}); // the check that waits for it fails by itself
    }
  });
  if (connections.b) {
    for (const [name, check] of Object.entries(CHECKS)) {
      const channels = [];
      await report(name, async () => {
        channels.push(await connections.a.createConfirmChannel(), await connections.b.createChannel());
        for (const channel of channels) channel.on('error', () => {}); // as above
        await check(...channels, connections);
      });
      for (const channel of channels) await channel.close().catch(() => {}); // it may be closed already
    }
    await report('connections close orderly', async () => {
      const closed = Object.values(connections).map((connection) => once(connection, 'close'));
      for (const connection of Object.values(connections)) await connection.close();
      for (const event of closed) assert.equal((await event)[0], undefined);
    });
  }
  process.exit(failed ? 1 : 0);
}

main();
