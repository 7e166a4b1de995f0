// @ts-check
// `echo.tcp.*` and `idle.tcp.rss`: a server that sends back what it gets, with callbacks. One multishot accept,
// one multishot receive for each connection, provided buffers, direct descriptors; a buffer is sent from
// where it was received. The native server is `crates/peers/src/workloads/echo.rs`.

import {
  acceptMultishot,
  bind,
  close,
  listen,
  MessageFlags,
  Ring,
  recvMultishot,
  send,
  setsockopt,
  socket,
} from 'uring';

import { parseOptions, report } from '../common.mjs';

const BACKLOG = 4096;
const CONNECTIONS_MAX = 16_384;
const WHOLE = { messageFlags: MessageFlags.WAITALL };

const { port, setup } = parseOptions();
// The size of the completion queue limits what is in flight: a receive for each connection, and sends.
const ring = new Ring({ entries: 1024, cqEntries: 2 * CONNECTIONS_MAX, asyncContext: false, ...setup });
ring.registrar.registerFiles({ slots: 0, kernelSlots: CONNECTIONS_MAX });
const buffers = ring.registrar.registerBufferRing({ entries: 2048, sizeBytes: 4096 });

class Connection {
  /** @type {import('uring').BufferLease[]} in the order of arrival; the first is being sent, and no other */
  leases = [];
  ended = false;

  /** @param {import('uring').FixedFile} file */
  constructor(file) {
    this.file = file;
    this.receive = recvMultishot(file, buffers);
    ring.start(this.receive, onReceived, this);
  }

  /** @param {import('uring').BufferLease} lease */
  push(lease) {
    if (this.leases.push(lease) === 1) this.sendFirst();
  }

  sendFirst() {
    ring.start(send(this.file, this.leases[0].data, WHOLE), onSent, this);
  }

  /** @param {boolean} all whether it was sent, and the next may follow */
  shift(all) {
    const sent = this.leases.shift();
    sent?.release();
    if (!all) for (const lease of this.leases.splice(0)) lease.release();
    if (this.leases.length > 0) this.sendFirst();
    else this.closeIfDone();
  }

  end() {
    this.ended = true;
    this.closeIfDone();
  }

  closeIfDone() {
    if (this.ended && this.leases.length === 0) ring.start(close(this.file), onClosed);
  }
}

/** @param {Error | null} error */
function onClosed(error) {
  if (error) throw error;
}

/** @type {import('uring').CompletionCallback<import('uring').BufferLease | null>} */
function onReceived(error, lease, completion) {
  const connection = /** @type {Connection} */ (completion.userData);
  if (lease) {
    connection.push(lease);
    if (!completion.hasMore) ring.start(connection.receive, onReceived, connection);
    // Without a buffer for now: those that are being sent come back.
  } else if (error?.code === 'ENOBUFS') ring.start(connection.receive, onReceived, connection);
  else connection.end();
}

/** @type {import('uring').CompletionCallback<number>} */
function onSent(error, bytes, completion) {
  const connection = /** @type {Connection} */ (completion.userData);
  // A peer that has gone needs no answer; its receive says so too.
  connection.shift(!error && bytes === connection.leases[0].data.length);
}

const listening = await ring.exec(socket('IPv4', 'stream'));
await ring.exec(setsockopt(listening, 'SO_REUSEADDR', true));
// Connections have what their listening socket has.
await ring.exec(setsockopt(listening, 'TCP_NODELAY', true));
await ring.exec(bind(listening, { address: '0.0.0.0', port }));
await ring.exec(listen(listening, BACKLOG));

const accepting = acceptMultishot(listening, { direct: true });

/** @type {import('uring').CompletionCallback<import('uring').FixedFile>} */
function onAccepted(error, file, completion) {
  if (error) throw error;
  if (file) new Connection(file);
  if (!completion.hasMore) ring.start(accepting, onAccepted);
}

ring.start(accepting, onAccepted);
report({ listening: port });
