import type { Alarm } from './clock.ts';
import type { Asked } from './describe.ts';
import type { Sqe } from './sqe.ts';

/** An operation that a mock ring has: waiting for the one that it is linked to, running, or over. */
export class Request {
  readonly sqe: Sqe;
  readonly asked: Asked;
  state: 'linked' | 'running' | 'over' = 'linked';
  /** The one that is linked to it. */
  next: Request | undefined = undefined;
  /** The time limit that it runs under. */
  limit: Request | undefined = undefined;
  /** Of a time limit: what it limits. */
  limited: Request | undefined = undefined;
  /** When it expires, if it is a timer. */
  alarm: Alarm | undefined = undefined;
  /** What happens then. */
  onExpiry: (() => void) | undefined = undefined;
  /** Of a timer: after how many other completions it ends. */
  endsAtCount = 0;
  /** Of a timer that repeats: how often it still does; -1 for ever. */
  left = 0;
  /** A cancel request does not stop it. */
  isUnstoppable = false;
  /** It failed, or transferred less than it was to. */
  hasFailed = false;

  constructor(sqe: Sqe, asked: Asked) {
    this.sqe = sqe;
    this.asked = asked;
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }
}
