// What a refusal of bad input has to be, and that nothing is left of it.
import test, { type ExecutionContext } from 'ava';
import type { AnyOperation, Ring, UringError } from 'uring';
import { assertUsable } from './_fixtures.ts';
import { withRing } from './_helpers.ts';

type Class = typeof TypeError | typeof RangeError | typeof UringError;
export type Case = readonly [
  what: string,
  act: (ring: Ring) => unknown,
  instanceOf: Class,
  code: string,
  message: RegExp,
];

/** A value that TypeScript would not let through. */
// biome-ignore lint/suspicious/noExplicitAny: that is what it is for
export const wrong = (given: unknown): any => given;

/** Runs what must be refused, in whichever way it says no, and checks that nothing is left of it. */
export async function refuses(
  t: ExecutionContext,
  ring: Ring,
  [what, act, instanceOf, code, message]: Case,
): Promise<void> {
  const before = ring.stats().submitted;
  await t.throwsAsync(async () => act(ring), { instanceOf, code, message }, what);
  t.is(ring.stats().submitted, before, `${what}: nothing reached the kernel`);
  t.is(ring.inFlight, 0, what);
  t.is(ring.sqReady, 0, what);
  await assertUsable(t, ring);
}

export const type = (what: string, act: Case[1], message: RegExp): Case => [
  what,
  act,
  TypeError,
  'ERR_INVALID_ARG_TYPE',
  message,
];
export const value = (what: string, act: Case[1], message: RegExp): Case => [
  what,
  act,
  TypeError,
  'ERR_INVALID_ARG_VALUE',
  message,
];
export const range = (what: string, act: Case[1], message: RegExp): Case => [
  what,
  act,
  RangeError,
  'ERR_OUT_OF_RANGE',
  message,
];

/** A test that each of these is refused. */
export function declare(title: string, cases: readonly Case[]): void {
  test(title, async (t) => {
    await withRing({ entries: 4 }, async (ring) => {
      for (const each of cases) await refuses(t, ring, each);
    });
  });
}

/** One argument of an operation, and the operation with something given for it. */
export type Argument = readonly [
  operation: string,
  argument: string,
  make: (given: unknown, ring: Ring) => AnyOperation,
];

/** Cases for arguments of a kind: every wrong value for every one of them, and how it is refused. */
export function each(
  list: readonly Argument[],
  wrongs: readonly (readonly [given: unknown, how: typeof type])[],
): readonly Case[] {
  return list.flatMap(([operation, argument, make]) => {
    const named = new RegExp(`"${argument.replaceAll(/[.[\]]/g, '\\$&')}["[.]`);
    return wrongs.map(([given, how]) =>
      how(`${operation} ${argument}: ${String(given)}`, (ring) => make(given, ring), named),
    );
  });
}
