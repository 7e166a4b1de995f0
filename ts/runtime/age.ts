import { UringError } from '../errors.ts';
import { SqeFlags } from '../flags.ts';
import { featureBits, isOlderThan, type KernelSays } from '../kernel-age.ts';
import type { AnyOperation } from '../operation.ts';
import { unsupportedOption } from './rejects.ts';

/**
 * Since Linux 5.15 the kernel refuses fields that it does not know (io_uring/io_uring.c, io_init_req and the prep functions
 * of that time), before it ignored them. 5.13, whose feature this is, is the nearest that can be asked for.
 */
const CHECKS_FIELDS = featureBits(['RSRC_TAGS']);
/** Came with the answers of nop, in 6.10. */
const INJECTS = featureBits(['RECVSEND_BUNDLE']);
/** IORING_NOP_INJECT_RESULT. */
const INJECT_RESULT = 1;
const LINKS = (SqeFlags.LINK | SqeFlags.HARDLINK) << 8;

/** What the kernel of a ring is too old for. */
export class Age {
  readonly #kernel: KernelSays;
  readonly #checksFields: boolean;
  readonly #injects: boolean;
  /** Versions that were asked about, and whether the kernel is older. */
  readonly #older = new Map<string, boolean>();

  constructor(kernel: KernelSays) {
    this.#kernel = kernel;
    this.#checksFields = (kernel.features & CHECKS_FIELDS) !== 0;
    this.#injects = (kernel.features & INJECTS) !== 0;
  }

  /** Throws for an option that the kernel would ignore. Where it refuses what it does not know, it is asked. */
  refuseUnknown(operation: AnyOperation): void {
    for (const [option, kernel, isIgnored] of operation.newer ?? []) {
      if ((isIgnored || !this.#checksFields) && this.#isOlder(kernel))
        throw unsupportedOption(operation, option, kernel);
    }
  }

  #isOlder(version: string): boolean {
    const known = this.#older.get(version) ?? isOlderThan(this.#kernel, version);
    this.#older.set(version, known);
    return known;
  }

  /** Where the kernel cannot answer what it is told, the record is that of a plain nop. */
  writeInjected(operation: AnyOperation, record: Int32Array, base: number): void {
    if (this.#injects) return;
    const isLinked = ((record[base] as number) & LINKS) !== 0;
    if (isLinked && operation.length < 0) throw notInChains(operation);
    record[base + 6] = 0;
    record[base + 7] = (record[base + 7] as number) & ~INJECT_RESULT;
  }

  injectedResult(operation: AnyOperation, res: number): number {
    return this.#injects || res !== 0 ? res : operation.length;
  }
}

function notInChains({ name }: AnyOperation): UringError {
  const message = `this kernel does not have a negative options.result of ${name} in a chain: it needs Linux 6.10 or later`;
  return new UringError('ERR_URING_UNSUPPORTED_FEATURE', message);
}
