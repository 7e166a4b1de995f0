// Ports that a test wants in both families, or wants nobody to listen on; and who waits at one.
import { readFileSync } from 'node:fs';

/** Below it the kernel gives nobody a port that did not ask for that one (net/ipv4/inet_connection_sock.c). */
function lowestEphemeral(): number {
  return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t')[0]);
}

interface Socket {
  readonly port: number;
  readonly isListening: boolean;
  /** For a listener, the connections that nobody has accepted yet. */
  readonly queued: number;
}

const TCP_LISTEN = 10;

/** This machine's sockets, in whatever state (net/ipv4/tcp_ipv4.c, get_tcp4_sock). */
function sockets(tables: readonly string[]): Socket[] {
  const lines = tables.flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'utf8').trimEnd().split('\n').slice(1),
  );
  return lines.map((line) => {
    const [, local, , state, queues] = line.trim().split(/\s+/) as [string, string, string, string, string];
    return {
      port: Number.parseInt(local.slice(local.indexOf(':') + 1), 16),
      isListening: Number.parseInt(state, 16) === TCP_LISTEN,
      queued: Number.parseInt(queues.slice(queues.indexOf(':') + 1), 16),
    };
  });
}

/** The connections to a listener that nobody has accepted yet. */
export function queuedAt(port: number): number | undefined {
  return sockets(['tcp', 'tcp6']).find((socket) => socket.isListening && socket.port === port)?.queued;
}

const LOWEST = 10_000;

/**
 * A port that nobody has, of either family, and that nobody gets unless they ask for it: the thousands of connections of other
 * tests that run at the same time come from ports that the kernel picks.
 */
export function unusedPort(): number {
  const busy = new Set(sockets(['tcp', 'tcp6', 'udp', 'udp6']).map(({ port }) => port));
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (lowestEphemeral() - LOWEST));
    if (!busy.has(port)) return port;
  }
}
