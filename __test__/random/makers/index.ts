// One maker, or several, for each operation: arguments at random, most of them sensible.
import { type AnyOperation, readMultishot } from 'uring';
import type { World } from '../world.ts';
import { files } from './files.ts';
import { ringStreams, rings } from './rings.ts';
import { socketStreams, sockets } from './sockets.ts';

export type Maker = (world: World) => AnyOperation;
/** By the name of the function that makes the operation, and after a colon what is special. */
export type Makers = Readonly<Record<string, Maker>>;
export type NamedMaker = readonly [name: string, make: Maker];

const streams: Makers = {
  ...socketStreams,
  ...ringStreams,
  readMultishot: (w) => readMultishot(w.of('pipeOut', 'stream'), w.group(), w.options()),
};

/** Operations that complete more than once. */
export const multishotMakers: readonly NamedMaker[] = Object.entries(streams);
export const makers: readonly NamedMaker[] = Object.entries({ ...files, ...sockets, ...rings, ...streams });
