/**
 * Linux io_uring for Node.js.
 *
 * @packageDocumentation
 */
import './inspect.ts';

export type {
  IpSocketAddress,
  OtherSocketAddress,
  SocketAddress,
  SocketAddressLike,
  UnixSocketAddress,
} from './address.ts';
export { type Availability, type Available, availability, type ResourceLimit } from './availability.ts';
export { BufferGroup, type BufferGroupOptions } from './buffer-group.ts';
export { BufferLease, BufferRing, type BufferRingOptions, type BufferRingStatus } from './buffer-ring.ts';
export {
  ChainError,
  type ChainResults,
  type LinkResult,
  type ResultOf,
  type SingleOperation,
} from './chain.ts';
export { Completion } from './completion.ts';
export { CompletionHalf, SplitCompletion, type SplitWaitOptions } from './completion-half.ts';
export type { CompletionQueue } from './completion-queue.ts';
export type { ConnectOptions, ConnectTarget, HostTarget } from './composites/connect.ts';
export {
  type FullLengthOptions,
  type FullTransferOptions,
  readFully,
  recvExactly,
  sendAll,
  TransferError,
  writeAll,
} from './composites/full-length.ts';
export type { HostLookupOptions } from './composites/lookup.ts';
export {
  type FileCallback,
  forEachFile,
  type ReadFileOptions,
  type ReadFilesOptions,
  readFile,
  readFiles,
  readFilesInOrder,
} from './composites/read-files.ts';
export type {
  DirectSocketOptions,
  OpenedSocket,
  OpenedSocketFile,
  SocketCompositeOptions,
  SocketOptionValues,
} from './composites/sockets.ts';
export { type StatFilesOptions, statFiles } from './composites/stat-files.ts';
export { type TcpConnectOptions, tcpConnect } from './composites/tcp-connect.ts';
export { type ListenTarget, type TcpListenOptions, tcpListen } from './composites/tcp-listen.ts';
export { type UdpConnectOptions, udpConnect } from './composites/udp-connect.ts';
export { type UnixConnectOptions, type UnixTarget, unixConnect } from './composites/unix-connect.ts';
export { type UnixListenOptions, unixListen } from './composites/unix-listen.ts';
export { type WriteFileOptions, writeFile } from './composites/write-file.ts';
export type {
  ControlMessage,
  Credentials,
  PacketInfo,
  PlainControlMessage,
  ReceivedControlMessage,
} from './control.ts';
export { ReceivedDescriptors } from './descriptors.ts';
export { AbortError, UringError } from './errors.ts';
export type { ChainOptions, ExecOptions } from './exec-options.ts';
export { FileTable, type FileTableOptions, FixedFile, type SetFileOptions } from './files.ts';
export { CqeFlags, SqeFlags } from './flags.ts';
export { Op } from './generated/ops.ts';
export type { Bytes } from './memory/bytes.ts';
export { SharedMemory } from './memory/shared-memory.ts';
export { type MessageOptions, sendMessage } from './message.ts';
export { MessageFlags } from './message-flags.ts';
export { type AnyOperation, type Fd, Operation, type OperationOptions } from './operation.ts';
export {
  type AcceptedFile,
  type AcceptedSocket,
  type AcceptOptions,
  accept,
  acceptMultishot,
} from './ops/accept.ts';
export { type BlockDiscardOptions, blockDiscard } from './ops/block-device.ts';
export { type AsyncCancelTarget, asyncCancel, type OperationTarget } from './ops/cancel.ts';
export type { DirectOptions } from './ops/direct.ts';
export {
  type EpollChange,
  type EpollCtlOptions,
  type EpollEvent,
  EpollEvents,
  epollCtl,
  epollWait,
} from './ops/epoll.ts';
export {
  read,
  readFixed,
  readMultishot,
  readv,
  readvFixed,
  write,
  writeFixed,
  writev,
  writevFixed,
} from './ops/file.ts';
export {
  type FadviseOptions,
  FallocateMode,
  type FallocateOptions,
  type FileAdvice,
  fadvise,
  fallocate,
  ftruncate,
} from './ops/file-space.ts';
export { FileSlots, type FixedFdInstallOptions, filesUpdate, fixedFdInstall } from './ops/fixed-files.ts';
export {
  type FutexOptions,
  type FutexWaiter,
  type FutexWaitResult,
  type FutexWords,
  futexWait,
  futexWaitv,
  futexWake,
} from './ops/futex.ts';
export { type MemoryAdvice, madvise } from './ops/madvise.ts';
export {
  type MessageTarget,
  type MsgRingFileOptions,
  type MsgRingOptions,
  msgRing,
  msgRingFile,
} from './ops/message.ts';
export {
  type LinkatOptions,
  linkat,
  type MkdiratOptions,
  mkdirat,
  type PathOptions,
  type RenameatOptions,
  renameat,
  symlinkat,
  type TwoPathsOptions,
  type UnlinkatOptions,
  unlinkat,
} from './ops/names.ts';
export { type Nop128Options, type NopOptions, nop, nop128 } from './ops/nop.ts';
export {
  close,
  type Openat2Options,
  type OpenatOptions,
  openat,
  openat2,
  type ResolveRule,
} from './ops/open.ts';
export { AT_FDCWD, type Path } from './ops/path-arguments.ts';
export {
  type Pipe,
  type PipeOptions,
  pipe,
  SpliceFlags,
  type SpliceOptions,
  splice,
  type TeeOptions,
  tee,
} from './ops/pipe.ts';
export {
  type PollChanges,
  PollEvents,
  type PollOptions,
  pollAdd,
  pollMultishot,
  pollRemove,
  pollUpdate,
} from './ops/poll.ts';
export { type WaitIdType, type WaitInfo, type WaitidOptions, waitid } from './ops/process.ts';
export { type ProvideBuffersOptions, provideBuffers, removeBuffers } from './ops/provided.ts';
export { type RawField, type RawFields, type RawMemory, raw } from './ops/raw.ts';
export {
  type IoPriority,
  ioprio,
  type ReadWriteOptions,
  RwFlags,
  type WriteOptions,
} from './ops/read-write-options.ts';
export { type ReceiveMultishotOptions, type ReceiveOptions, recv, recvMultishot } from './ops/receive.ts';
export { type SendOptions, send, sendBundle } from './ops/send.ts';
export {
  bind,
  connect,
  listen,
  type SocketDomain,
  SocketFlags,
  type SocketOptions,
  type SocketType,
  shutdown,
  socket,
} from './ops/socket.ts';
export {
  getpeername,
  getsockname,
  receiveQueueBytes,
  sendQueueBytes,
  type TransmitTimestamp,
  txTimestamp,
  type UringCmd128Options,
  uringCmd128,
} from './ops/socket-command.ts';
export {
  LeasedMessage,
  type OutgoingMessage,
  ReceivedMessage,
  type ReceiveMessageOptions,
  recvmsg,
  recvmsgMultishot,
  sendmsg,
} from './ops/socket-message.ts';
export { getsockopt, type SocketOptionNumber, setsockopt } from './ops/socket-options.ts';
export { type StatxOptions, statx } from './ops/statx.ts';
export {
  type FsyncOptions,
  fsync,
  SyncFileRangeFlags,
  type SyncFileRangeOptions,
  syncFileRange,
} from './ops/sync.ts';
export {
  type Clock,
  type ClockOptions,
  linkTimeout,
  type TimeoutMultishotOptions,
  type TimeoutOptions,
  type TimeoutUpdateOptions,
  timeout,
  timeoutMultishot,
  timeoutRemove,
  timeoutUpdate,
} from './ops/time.ts';
export type { TransferOptions } from './ops/transfer.ts';
export {
  type AttributeName,
  fgetxattr,
  fsetxattr,
  type GetxattrOptions,
  getxattr,
  type SetxattrOptions,
  setxattr,
} from './ops/xattr.ts';
export {
  type ReceiveZeroCopyOptions,
  recvZc,
  sendmsgZc,
  sendZc,
  type ZeroCopyResult,
} from './ops/zero-copy.ts';
export type {
  Linger,
  ReadableSocketOptionName,
  SocketOptionName,
  SocketOptionValue,
} from './option-values.ts';
export type { Unavailable, UnavailableCode } from './platform/unavailable.ts';
export { type KernelProbe, probe } from './probe.ts';
export { ProvidedBuffers } from './provided-buffers.ts';
export type { Registrar } from './registrar.ts';
export type {
  EventfdOptions,
  NapiOptions,
  NapiSettings,
  Restrictions,
  WorkerLimits,
} from './registrar-options.ts';
export { Ring } from './ring.ts';
export type { RingHandle } from './ring-handle.ts';
export type { Feature, RingOptions } from './ring-options.ts';
export type { RingStats, RingWatchStats } from './ring-stats.ts';
export { RingWorker, type RingWorkerOptions } from './ring-worker.ts';
export type { RunMode } from './runtime/drive.ts';
export type { RingEvent } from './runtime/events.ts';
export type { CompletionCallback } from './runtime/handler.ts';
export type { MultishotStream } from './runtime/multishot.ts';
export type { FullQueue, LongTurn, SlowOperation, StarvedBuffers } from './runtime/watch.ts';
export type { SetupFlagOptions } from './setup-flags.ts';
export { socketAddress } from './socket-address.ts';
export { BigIntStats, Stats, StatxAttributes, type StatxFields, StatxMask } from './stats.ts';
export { type SplitOptions, SubmissionHalf } from './submission-half.ts';
export type { PrepChainOptions, SubmissionQueue } from './submission-queue.ts';
export type { Time } from './timespec.ts';
export { CURRENT_POSITION } from './validate.ts';
export type { WaitOptions } from './wait-options.ts';
export type { CurrentOptions, CurrentWorker } from './worker/current.ts';
export type { RingPeer } from './worker/peer.ts';
