// `uring/mock`: rings without a kernel, for tests.
export {
  after,
  type Delayed,
  type MockAnswer,
  type MockCommandName,
  type MockHandler,
  type MockHandlers,
  type MockLater,
  type MockOperationName,
  type MockOutcome,
  type MockResult,
  type MockStats,
  unstoppable,
} from './answers.ts';
export type { MockClock } from './clock.ts';
export { type MockKernel, type MockOptions, mock } from './kernel.ts';
export type { MockOperation } from './operation.ts';
