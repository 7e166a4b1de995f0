// Counts what became of random operations, and remembers the last ones.
import assert from 'node:assert/strict';
import type { AnyOperation } from 'uring';

const LAST = 30;

const TYPED =
  /^(E[A-Z0-9]+|ABORT_ERR|ERR_URING_[A-Z_]+|ERR_INVALID_ARG_TYPE|ERR_INVALID_ARG_VALUE|ERR_OUT_OF_RANGE)$/;

/** The code of an error, which must have one that says what is wrong. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  const isTyped = error instanceof Error && typeof code === 'string' && TYPED.test(code);
  assert.ok(isTyped, `no typed error: ${error instanceof Error ? error.stack : String(error)}`);
  // An errno without a name.
  assert.ok(!/^E\d+$/.test(code), `an error without a name: ${error.message}`);
  return code;
}

function count<K>(map: Map<K, number>, key: K): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

export class Tally {
  /** Operations that were run. */
  run = 0;
  /** Arguments that were refused with a typed error. */
  refused = 0;
  succeeded = 0;
  failed = 0;
  /** How often the operations of each maker succeeded. */
  readonly successes: Map<string, number> = new Map();
  /** How often each error code was seen. */
  readonly codes: Map<string, number> = new Map();
  /** Opcodes that were run. */
  readonly opcodes: Set<number> = new Set();
  readonly #last: string[] = [];

  started(operation: AnyOperation, what: string): void {
    this.run += 1;
    this.opcodes.add(operation.opcode);
    this.#last.push(what);
    if (this.#last.length > LAST) this.#last.shift();
  }

  failure(error: unknown, wasRun: boolean): void {
    count(this.codes, codeOf(error));
    if (wasRun) this.failed += 1;
    else this.refused += 1;
  }

  success(name: string): void {
    this.succeeded += 1;
    count(this.successes, name);
  }

  /** The last operations, the latest at the end. */
  get last(): string {
    return this.#last.join(', ');
  }
}
