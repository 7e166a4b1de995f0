// What sending and receiving have in common.
import { BufferRing } from '../buffer-ring.ts';
import { invalidType, invalidValue } from '../errors.ts';
import { PlacedBuffer } from '../memory/placed.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { Operation, OperationOptions, Payload } from '../operation.ts';
import { ProvidedBuffers } from '../provided-buffers.ts';
import { checkInteger, isSet } from '../validate.ts';
import { BufferList } from './vectors.ts';

/** IORING_RECVSEND_* and IORING_RECV_*, IORING_SEND_*, in `ioprio`. */
export const POLL_FIRST: number = 1 << 0;
export const RECV_MULTISHOT: number = 1 << 1;
export const REPORT_USAGE: number = 1 << 3;
export const BUNDLE: number = 1 << 4;
export const VECTORIZED: number = 1 << 5;

/** What sends and receives have in common. */
export interface TransferOptions extends OperationOptions {
  /** `MessageFlags`, see recv(2) and send(2). */
  messageFlags?: number;
  /** Wait until the socket is ready before trying, which saves a try that is expected to fail. Since Linux 5.19. */
  pollFirst?: boolean;
}

type AnyTransfer = Operation<never, 'single' | 'multishot'>;

/** Takes over the options; `always` are flags of the message that are set in any case. */
export function applyOptions(
  operation: Pick<AnyTransfer, 'opFlags' | 'priority' | 'needs'>,
  options: TransferOptions | undefined,
  always: number,
): void {
  const flags = checkInteger('options.messageFlags', options?.messageFlags ?? 0, 0, 0x7fff_ffff);
  operation.opFlags = flags | always;
  if (isSet('options.pollFirst', options?.pollFirst)) {
    operation.priority(POLL_FIRST);
    operation.needs('options.pollFirst', '5.19');
  }
}

/** A buffer ring that the kernel takes full buffers from. */
export function checkSendingBuffers(name: string, buffers: unknown): BufferRing {
  if (!(buffers instanceof BufferRing)) throw invalidType(name, 'a BufferRing of this ring', buffers);
  if (buffers.provide === 'manually') return buffers;
  throw invalidValue(
    name,
    "holds buffers to receive into: register one with provide: 'manually' to send from",
  );
}

/** Buffers that the kernel takes empty ones from. */
export function checkReceivingBuffers(name: string, buffers: unknown): ProvidedBuffers {
  if (!(buffers instanceof ProvidedBuffers))
    throw invalidType(name, 'a BufferRing or BufferGroup of this ring', buffers);
  if (buffers instanceof BufferRing && buffers.provide === 'manually') {
    throw invalidValue(name, 'holds buffers to be sent: register one that is provided automatically');
  }
  return buffers;
}

/** One buffer or a list of them, after the address to send to. */
export class TransferPayload implements Payload {
  readonly sizeBytes: number;
  readonly transferBytes: number;
  readonly #data: PlacedBuffer | BufferList;
  readonly #address: Uint8Array | undefined;
  /** Where the data starts in the block. */
  readonly #start: number;

  constructor(data: PlacedBuffer | BufferList, address?: Uint8Array) {
    this.#data = data;
    this.#address = address;
    this.#start = address === undefined ? 0 : (address.byteLength + 7) & ~7;
    this.sizeBytes = this.#start + data.sizeBytes;
    this.transferBytes = data instanceof PlacedBuffer ? data.sizeBytes : data.transferBytes;
  }

  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const address = this.#address;
    if (address !== undefined) {
      block.view.set(address);
      record[base + 2] = block.offset;
      record[base + 3] = block.handle;
      record[base + 11] = address.byteLength;
    }
    const data = this.#data;
    const isList = data instanceof BufferList;
    record[base + 6] = isList ? data.count : data.sizeBytes;
    // An empty datagram has no memory.
    if (!isList && data.sizeBytes === 0) return;
    const { offset, handle } = isList
      ? data.write(block, this.#start, ring)
      : data.place(block, this.#start, ring);
    record[base + 4] = offset;
    record[base + 5] = handle;
  }

  finish(block: StagedBlock, res: number, ring: unknown): void {
    const data = this.#data;
    if (data instanceof BufferList) data.bringBack(block, this.#start, res, ring);
    // With MSG_TRUNC the result is the size of a datagram that did not fit.
    else data.bringBack(block, this.#start, Math.min(res, data.sizeBytes), ring);
  }
}
