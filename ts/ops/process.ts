// Processes.
import { invalidValue } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { Operation, type OperationOptions, type Outcome, type Payload } from '../operation.ts';
import { checkInteger, checkName, checkOptions, isSet } from '../validate.ts';

/** What `waitid` waits for: idtype_t (waitid(2)). */
const ID_TYPES = { all: 0, pid: 1, pgid: 2, pidfd: 3 } as const;

/** W* and __W* of waitid(2). */
const WAIT_FLAGS = {
  noHang: 1 << 0,
  stopped: 1 << 1,
  exited: 1 << 2,
  continued: 1 << 3,
  noWait: 1 << 24,
  wNoThread: 1 << 29,
  wAll: 1 << 30,
  wClone: 1 << 31,
} as const;

/** CLD_*: what has become of a child (sigaction(2)). */
const CODES = ['exited', 'killed', 'dumped', 'trapped', 'stopped', 'continued'] as const;

/** sizeof(siginfo_t), and where its fields stand on 64-bit machines (include/uapi/asm-generic/siginfo.h). */
const SIGINFO_BYTES = 128;
const CODE_AT = 8;
const PID_AT = 16;
const UID_AT = 20;
const STATUS_AT = 24;

/** What `waitid` waits for. */
export type WaitIdType = keyof typeof ID_TYPES;

/** Which changes of a child `waitid` waits for; at least one of `exited`, `stopped` and `continued`. */
export interface WaitidOptions extends OperationOptions {
  /** It ended. Default true. */
  exited?: boolean;
  /** A signal stopped it. */
  stopped?: boolean;
  /** It went on after a stop. */
  continued?: boolean;
  /** Leaves the child as it is, so that it can be waited for again. */
  noWait?: boolean;
  /** Answers null instead of waiting. */
  noHang?: boolean;
  /** Children of this thread only (`__WNOTHREAD`). */
  wNoThread?: boolean;
  /** Children of every kind, whatever signal they send at their end (`__WALL`). */
  wAll?: boolean;
  /** Only children that send no signal, or another than SIGCHLD (`__WCLONE`). */
  wClone?: boolean;
}

/** What has become of a child. */
export interface WaitInfo {
  readonly pid: number;
  /** Its real user. */
  readonly uid: number;
  readonly code: (typeof CODES)[number];
  /** The exit code where `code` is `'exited'`, else the number of the signal. */
  readonly status: number;
}

class SiginfoPayload implements Payload {
  readonly sizeBytes = SIGINFO_BYTES;

  write(block: StagedBlock, record: Int32Array, base: number): void {
    record[base + 2] = block.offset;
    record[base + 3] = block.handle;
  }
}

const SIGINFO = new SiginfoPayload();

function decodeSiginfo({ staged }: Outcome): WaitInfo | null {
  const { view } = staged as StagedBlock;
  const pid = view.readInt32LE(PID_AT);
  const code = CODES[view.readInt32LE(CODE_AT) - 1];
  // With `noHang` and nothing to tell the kernel leaves everything 0 (waitid(2)).
  if (pid === 0 || code === undefined) return null;
  return { pid, uid: view.readUInt32LE(UID_AT), code, status: view.readInt32LE(STATUS_AT) };
}

/**
 * Waits until something becomes of a child process.
 *
 * Node waits for the children that it starts itself (`child_process`), as soon as they end: give `noWait`, so that
 * neither takes them from the other.
 *
 * Results in what has become of it ({@link WaitInfo}), with `noHang` in null when nothing has. Errors: `ECHILD` when
 * there is no such child, `EBADF` or `EINVAL` for an `id` that is no pidfd. Since Linux 6.7.
 *
 * @param idType what `id` is: a process, a process group, a pidfd, or (with id 0) no matter
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_waitid.3.html io_uring_prep_waitid(3)}
 * @example
 * ```ts
 * import { spawn } from 'node:child_process';
 * import { Ring, waitid } from 'uring';
 *
 * await using ring = new Ring();
 * const child = spawn('sleep', ['10']);
 * child.kill('SIGTERM');
 * const { code, status } = await ring.exec(waitid('pid', child.pid, { noWait: true }));
 * console.log(code, status); // 'killed' 15
 * ```
 */
export function waitid(
  idType: WaitIdType,
  id: number,
  options?: WaitidOptions & { noHang?: false },
): Operation<WaitInfo>;
export function waitid(idType: WaitIdType, id: number, options: WaitidOptions): Operation<WaitInfo | null>;
export function waitid(
  idType: WaitIdType,
  id: number,
  options?: WaitidOptions,
): Operation<WaitInfo> | Operation<WaitInfo | null> {
  checkOptions('options', options);
  const operation = new Operation<WaitInfo | null>(Op.waitid, options);
  operation.fd = checkInteger('id', id, 0, 0x7fff_ffff);
  operation.length = checkName('idType', idType, ID_TYPES);
  const wanted: Record<string, unknown> = { exited: true, ...options };
  for (const [name, flag] of Object.entries(WAIT_FLAGS)) {
    const value = wanted[name];
    if (isSet(`options.${name}`, value)) operation.fileIndex |= flag;
  }
  if ((operation.fileIndex & (WAIT_FLAGS.exited | WAIT_FLAGS.stopped | WAIT_FLAGS.continued)) === 0)
    throw invalidValue('options', 'waits for nothing: set exited, stopped or continued');
  operation.arguments(SIGINFO);
  operation.decode = decodeSiginfo;
  return operation;
}
