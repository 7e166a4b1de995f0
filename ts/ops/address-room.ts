// Room for an address that the kernel answers.
import { ADDRESS_BYTES_MAX, decodeAddress, type SocketAddress } from '../address.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { Outcome } from '../operation.ts';

/** Its length, and where the address itself starts. */
export const ADDRESS_AT = 8;
export const ADDRESS_ROOM_BYTES: number = ADDRESS_AT + ADDRESS_BYTES_MAX;

/** Tells the kernel how much room there is. */
export function offerRoom({ view }: StagedBlock): void {
  view.writeUInt32LE(ADDRESS_BYTES_MAX, 0);
}

/** The address that is there; undefined where the family has none. */
export function answeredAddress({ staged }: Outcome): SocketAddress | undefined {
  if (staged === undefined) return undefined;
  const { view } = staged;
  return decodeAddress(view.subarray(ADDRESS_AT, ADDRESS_ROOM_BYTES), view.readUInt32LE(0));
}
