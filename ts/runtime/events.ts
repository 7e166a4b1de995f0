import type { Completion } from '../completion.ts';
import { FixedFile } from '../files.ts';
import {
  EXTRA_IS_FILE_EVENT,
  EXTRA_IS_PARCEL_EVENT,
  EXTRA_IS_TAG_EVENT,
  EXTRA_LOW_MASK,
  EXTRA_NUMBER_MASK,
} from '../generated/abi.ts';
import { openParcel } from '../worker/mailbox.ts';
import type { RingPeer } from '../worker/peer.ts';

/**
 * Something that arrives without an operation of this ring: a message that another ring sent (`msgRing`), a file that
 * another ring put into a slot of ours (`msgRingFile`), the tag of a registered resource that the kernel has let go of; at
 * a ring of a `RingWorker`, or its parent's, a value that the other one has posted, and that the worker shall end.
 */
export type RingEvent =
  | { readonly type: 'message'; readonly data: number; readonly res: number; readonly flags: number }
  | { readonly type: 'file'; readonly data: number; readonly file: FixedFile }
  | { readonly type: 'tag'; readonly tag: number }
  | { readonly type: 'value'; readonly value: unknown; readonly from: RingPeer }
  | { readonly type: 'stop'; readonly from: RingPeer };

/** What the upper half of a 64-bit number counts. */
const TWO_32 = 4_294_967_296;

/** @internal The event of a completion record: the low half of its number, and what `extra` says. Nothing is nobody's. */
export function eventOf(
  ring: unknown,
  low: number,
  { res, flags }: Pick<Completion, 'res' | 'flags'>,
  extra: number,
): RingEvent | undefined {
  const data = low >>> 0;
  if ((extra & EXTRA_IS_FILE_EVENT) !== 0) {
    return { type: 'file', data, file: FixedFile.filled(ring, res, extra & EXTRA_LOW_MASK) };
  }
  const number = (extra & EXTRA_NUMBER_MASK) * TWO_32 + data;
  if ((extra & EXTRA_IS_PARCEL_EVENT) !== 0) {
    return openParcel(ring, number, res);
  }
  if ((extra & EXTRA_IS_TAG_EVENT) !== 0) return { type: 'tag', tag: number };
  return { type: 'message', data: number, res, flags };
}
