// @ts-check
// Opening a ring, and saying why there is none.
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { availability, Ring } from 'uring';
import { formatBytes } from './format.mjs';
import { EXIT_UNAVAILABLE, Stop } from './stop.mjs';

/** @param {string} path a file of procfs @returns {string} nothing where there is no such file */
function readProc(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** @returns {Ring} */
export function openRing() {
  const answer = availability();
  if (answer.available) return new Ring();
  throw new Stop(EXIT_UNAVAILABLE, `io_uring is not available: ${answer.reason}: ${answer.remedy}.`);
}

function memlockLimit() {
  const [, soft] = /^Max locked memory\s+(\S+)/m.exec(readProc('/proc/self/limits')) ?? [];
  if (soft === undefined) return 'unknown';
  return soft === 'unlimited' ? soft : formatBytes(Number(soft));
}

/** What this kernel and ring offer, in short. @param {Ring} ring */
export function describeRing(ring) {
  // Memory is registered when it is first asked for.
  ring.alloc(1);
  const { registeredBytes } = ring.stats();
  const registered = registeredBytes > 0 ? 'yes' : 'no, the limit for locked memory is too low';
  return [
    `io_uring is available: Linux ${release()}, Node ${process.versions.node}`,
    `  setup flags granted   ${ring.setupFlags.join(' ') || 'none'}`,
    `  features              ${ring.features.length}`,
    `  operations            ${ring.operations.length}: ${ring.operations.join(' ')}`,
    `  queues                ${ring.entries} submissions, ${ring.cqEntries} completions`,
    `  registered memory     ${registered} (RLIMIT_MEMLOCK ${memlockLimit()})`,
  ].join('\n');
}
