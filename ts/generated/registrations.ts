// Written by crates/core/tests/generated.rs from the Rust tables; do not edit.

/** A registration of io_uring_register(2). */
export interface Registration {
  readonly number: number;
  /** First kernel that has it. */
  readonly kernel: string;
  /** Where it stands in this package. */
  readonly method: string;
}

/** Registrations, by their names in the man page without `IORING_`. */
export const registrations = {
  REGISTER_BUFFERS: { number: 0, kernel: '5.1', method: 'Ring.alloc (as REGISTER_BUFFERS2)' },
  UNREGISTER_BUFFERS: { number: 1, kernel: '5.1', method: 'Registrar.unregisterBuffers (as REGISTER_BUFFERS_UPDATE)' },
  REGISTER_FILES: { number: 2, kernel: '5.1', method: 'Registrar.registerFiles (as REGISTER_FILES2)' },
  UNREGISTER_FILES: { number: 3, kernel: '5.1', method: 'FileTable.unregister' },
  REGISTER_EVENTFD: { number: 4, kernel: '5.2', method: 'Registrar.registerEventfd' },
  UNREGISTER_EVENTFD: { number: 5, kernel: '5.2', method: 'Registrar.unregisterEventfd' },
  REGISTER_FILES_UPDATE: { number: 6, kernel: '5.5', method: 'FileTable.update (as REGISTER_FILES_UPDATE2)' },
  REGISTER_EVENTFD_ASYNC: { number: 7, kernel: '5.6', method: 'Registrar.registerEventfd' },
  REGISTER_PROBE: { number: 8, kernel: '5.6', method: 'probe' },
  REGISTER_PERSONALITY: { number: 9, kernel: '5.6', method: 'Registrar.registerPersonality' },
  UNREGISTER_PERSONALITY: { number: 10, kernel: '5.6', method: 'Registrar.unregisterPersonality' },
  REGISTER_RESTRICTIONS: { number: 11, kernel: '5.10', method: 'Registrar.restrict' },
  REGISTER_ENABLE_RINGS: { number: 12, kernel: '5.10', method: 'Ring.enable' },
  REGISTER_FILES2: { number: 13, kernel: '5.13', method: 'Registrar.registerFiles' },
  REGISTER_FILES_UPDATE2: { number: 14, kernel: '5.13', method: 'FileTable.update' },
  REGISTER_BUFFERS2: { number: 15, kernel: '5.13', method: 'Ring.alloc' },
  REGISTER_BUFFERS_UPDATE: { number: 16, kernel: '5.13', method: 'Registrar.registerBuffers' },
  REGISTER_IOWQ_AFF: { number: 17, kernel: '5.14', method: 'Registrar.setWorkerAffinity' },
  UNREGISTER_IOWQ_AFF: { number: 18, kernel: '5.14', method: 'Registrar.setWorkerAffinity' },
  REGISTER_IOWQ_MAX_WORKERS: { number: 19, kernel: '5.15', method: 'Registrar.setWorkerLimits' },
  REGISTER_RING_FDS: { number: 20, kernel: '5.18', method: 'Ring.registerRingFd' },
  UNREGISTER_RING_FDS: { number: 21, kernel: '5.18', method: 'Ring.unregisterRingFd' },
  REGISTER_PBUF_RING: { number: 22, kernel: '5.19', method: 'Registrar.registerBufferRing' },
  UNREGISTER_PBUF_RING: { number: 23, kernel: '5.19', method: 'BufferRing.unregister' },
  REGISTER_SYNC_CANCEL: { number: 24, kernel: '6.0', method: 'Registrar.syncCancel' },
  REGISTER_FILE_ALLOC_RANGE: { number: 25, kernel: '6.0', method: 'Registrar.registerFiles' },
  REGISTER_PBUF_STATUS: { number: 26, kernel: '6.8', method: 'BufferRing.status' },
  REGISTER_NAPI: { number: 27, kernel: '6.9', method: 'Registrar.registerNapi' },
  UNREGISTER_NAPI: { number: 28, kernel: '6.9', method: 'Registrar.unregisterNapi' },
  REGISTER_CLOCK: { number: 29, kernel: '6.12', method: 'Registrar.setClock' },
  REGISTER_CLONE_BUFFERS: { number: 30, kernel: '6.12', method: 'Registrar.cloneBuffers' },
  REGISTER_SEND_MSG_RING: { number: 31, kernel: '6.13', method: 'sendMessage' },
  REGISTER_ZCRX_IFQ: { number: 32, kernel: '6.15', method: 'Registrar.registerZeroCopyReceive' },
  REGISTER_RESIZE_RINGS: { number: 33, kernel: '6.13', method: 'Ring.resize' },
  REGISTER_MEM_REGION: { number: 34, kernel: '6.13', method: 'RingOptions.registeredWait' },
  REGISTER_QUERY: { number: 35, kernel: '6.18', method: 'probe' },
} as const satisfies Record<string, Registration>;

/** `IORING_ENTER_*`, in the order of their bits from 0 on. */
export const ENTER_FLAGS = [
  'GETEVENTS',
  'SQ_WAKEUP',
  'SQ_WAIT',
  'EXT_ARG',
  'REGISTERED_RING',
  'ABS_TIMER',
  'EXT_ARG_REG',
  'NO_IOWAIT',
] as const;

/** `IOSQE_*`, in the order of their bits from 0 on. */
export const SQE_FLAGS = [
  'FIXED_FILE',
  'IO_DRAIN',
  'IO_LINK',
  'IO_HARDLINK',
  'ASYNC',
  'BUFFER_SELECT',
  'CQE_SKIP_SUCCESS',
] as const;
