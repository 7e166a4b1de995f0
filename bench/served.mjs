// @ts-check
// The rows that measure a server: it runs bound to one processor, what drives it to another.

import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { execa } from 'execa';

/** @typedef {import('./measure.mjs').Settings} Settings */

const LOAD_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 10_000;
/** Below the ports that connections get (net.ipv4.ip_local_port_range begins at 32,768). */
const PORTS = { first: 20_000, count: 12_000 };

/**
 * Starts a server, drives it, and stops it.
 *
 * @param {string[]} command starts the server, given a port
 * @param {string[]} load what the native peer is told to drive it with
 * @param {Settings} settings
 * @returns {Promise<Record<string, unknown>>} the line that the load prints
 */
export async function measureServed(command, load, { peer, cpus: [serverCpu, loadCpu] }) {
  const port = String(PORTS.first + Math.floor(Math.random() * PORTS.count));
  // It stays the same process, because taskset becomes the program that it is given.
  const server = execa('taskset', ['-c', serverCpu, ...command, '--port', port], {
    stdin: 'ignore',
    stderr: 'inherit',
    buffer: false,
    reject: false,
  });
  try {
    const lines = createInterface({ input: server.stdout });
    await once(lines, 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
    const args = ['-c', loadCpu, peer, ...load, '--port', port, '--pid', String(server.pid)];
    const { stdout } = await execa('taskset', args, { timeout: LOAD_TIMEOUT_MS });
    return JSON.parse(stdout);
  } finally {
    server.kill();
    await server;
  }
}
