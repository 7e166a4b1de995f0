// @ts-check
// Opening a ring, and saying why there is none.
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { Ring, UringError } from 'uring';
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

/** EPERM has two causes: the administrator's switch, and a filter for system calls around the container. */
function explainRefusal() {
  const disabled = readProc('/proc/sys/kernel/io_uring_disabled').trim();
  if (disabled === '1' || disabled === '2') {
    const whom = disabled === '1' ? 'for processes without privileges' : 'for everyone';
    return `it is switched off ${whom} (sysctl kernel.io_uring_disabled is ${disabled}): ask the administrator to set it to 0`;
  }
  return (
    'a filter for system calls forbids it, as containers have by default: run the container with a seccomp profile ' +
    'that allows io_uring_setup, io_uring_enter and io_uring_register (for a try: docker run --security-opt seccomp=unconfined)'
  );
}

/** @param {UringError} error @returns {string | undefined} */
function explain({ code, message }) {
  switch (code) {
    case 'ERR_URING_UNAVAILABLE':
      return message;
    case 'EPERM':
    case 'EACCES':
      return explainRefusal();
    case 'ENOSYS':
      return `kernel ${release()} answers that it has no such call: it is older than Linux 5.6, or a sandbox (gVisor, a seccomp profile) hides it; use a newer kernel or another sandbox`;
    case 'EINVAL':
      return `kernel ${release()} has an io_uring that is too old: use Linux 5.6 or newer`;
    case 'ENOMEM':
      return 'the memory that a process may lock is used up: raise it (ulimit -l), or use Linux 5.12 or newer';
    default:
      return undefined;
  }
}

/** @returns {Ring} */
export function openRing() {
  try {
    return new Ring();
  } catch (error) {
    const reason = error instanceof UringError ? explain(error) : undefined;
    if (reason === undefined) throw error;
    throw new Stop(EXIT_UNAVAILABLE, `io_uring is not available: ${reason}.`, { cause: error });
  }
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
