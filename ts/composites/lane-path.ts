import { Buffer } from 'node:buffer';
import { invalidType, invalidValue } from '../errors.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { Payload } from '../operation.ts';
import { checkPath, type Path } from '../ops/path-arguments.ts';

/** PATH_MAX, with the NUL at the end. */
const PATH_BYTES_MAX = 4096;
/** The most that a UTF-16 unit becomes in UTF-8. */
const BYTES_PER_UNIT_MAX = 3;

/** @internal A path that has been checked: strings stay what they are, anything else is a copy. */
export type CheckedPath = string | Uint8Array;

/** @internal One path. */
export function checkOnePath(name: string, path: unknown): CheckedPath {
  if (typeof path !== 'string') return checkPath(name, path);
  if (path.includes('\0')) throw invalidValue(name, 'must not contain null bytes');
  const mayBeLong = path.length * BYTES_PER_UNIT_MAX >= PATH_BYTES_MAX;
  if (mayBeLong && Buffer.byteLength(path) >= PATH_BYTES_MAX)
    throw invalidValue(name, `is longer than ${PATH_BYTES_MAX - 1} bytes`);
  return path;
}

/** @internal Many paths, all of them before anything is done with one. */
export function checkPaths(name: string, paths: unknown): CheckedPath[] {
  const isIterable = typeof paths === 'object' && paths !== null && Symbol.iterator in paths;
  if (!isIterable || paths instanceof Uint8Array) throw invalidType(name, 'an array of paths', paths);
  return Array.from(paths as Iterable<Path>, (path, at) => checkOnePath(`${name}[${at}]`, path));
}

/** @internal The path for errors. */
export function pathOf(path: CheckedPath): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString();
}

/** @internal The path of an operation that is used for one path after the other. */
export class LanePath implements Payload {
  sizeBytes = 0;
  readonly #before: number;
  #path: CheckedPath = '';

  /** @param before room in front of the path that is named in `off` */
  constructor(before = 0) {
    this.#before = before;
  }

  /** Whose turn it is; the operation must not be in flight. */
  set(path: CheckedPath): void {
    this.#path = path;
    const bytes = typeof path === 'string' ? path.length * BYTES_PER_UNIT_MAX : path.byteLength;
    this.sizeBytes = this.#before + bytes + 1;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    const before = this.#before;
    const path = this.#path;
    let end = before;
    if (typeof path === 'string') {
      end += block.view.write(path, before);
    } else {
      block.view.set(path, before);
      end += path.byteLength;
    }
    block.view[end] = 0;
    record[base + 4] = block.offset + before;
    record[base + 5] = block.handle;
    if (before > 0) {
      record[base + 2] = block.offset;
      record[base + 3] = block.handle;
    }
  }
}
