import { Errno } from '../errnos.ts';
import type {
  BufferRingShape,
  NativeBufferGroup,
  NativeRegistrar,
  SyncCancelTarget,
} from '../platform/native.ts';
import { cancelled } from './built-in.ts';
import type { Execution } from './execution.ts';
import type { BufferGroups } from './groups.ts';
import { notMocked } from './refusal.ts';
import type { FileSlots } from './slots.ts';

const { EBUSY } = Errno;

/** What is registered with a mock ring: files and buffers, and not what is about threads, networks and users. */
export abstract class MockRegistrations implements NativeRegistrar {
  abstract readonly slots: FileSlots;
  abstract readonly groups: BufferGroups;
  abstract readonly execution: Execution;

  registerFiles(ours: number, kernels: number): number {
    return this.slots.register(ours, kernels);
  }
  setFile(slot: number, fd: number, tag?: number): number {
    if (tag !== undefined) throw notMocked('tags');
    return this.slots.set(slot, fd);
  }
  updateFiles(first: number, fds: number[], tags: (number | undefined)[]): number[] {
    if (tags.some((tag) => tag !== undefined)) throw notMocked('tags');
    return this.slots.update(first, fds);
  }
  unregisterFiles(): number {
    // A slot is being filled or emptied.
    if (this.execution.all.some(({ sqe, asked }) => asked.fileIndex !== 0 || sqe.name === 'filesUpdate'))
      return -EBUSY;
    return this.slots.unregister();
  }
  clearFile(handle: number): number {
    return this.slots.clear(handle);
  }

  registerGroup(shape: BufferRingShape): NativeBufferGroup {
    return this.groups.register(shape);
  }
  unregisterGroup(group: number): number {
    if (this.execution.all.some(({ asked }) => asked.group?.number === group)) return -EBUSY;
    return this.groups.remove(group);
  }
  lent(group: number): number {
    return this.groups.get(group).out.size;
  }
  createLegacyGroup(): number {
    return this.groups.createLegacy();
  }
  removeLegacyGroup(group: number): number {
    return this.unregisterGroup(group);
  }
  bundle(group: number, first: number, bytes: number): number[] {
    return this.groups.bundle(group, first, bytes);
  }
  takeBuffer(group: number): number {
    return this.groups.takeFree(group);
  }
  provideBuffer(group: number, id: number, lengthBytes: number): number {
    return this.groups.provide(group, id, lengthBytes);
  }
  isOut(group: number, id: number): boolean {
    return this.groups.get(group).out.has(id);
  }
  groupHead(group: number): number {
    return this.groups.get(group).head;
  }
  groupAvailable(group: number): number {
    return this.groups.get(group).available.length;
  }

  syncCancel({ index, sequence, fd, flags, opcode }: SyncCancelTarget): number {
    const { execution } = this;
    const target = index === undefined ? undefined : execution.find(index, sequence ?? 0);
    const { res, stopped } =
      index === undefined
        ? cancelled(execution, { fd, opFlags: flags, len: opcode }, execution.all)
        : { res: execution.canStop(target), stopped: target === undefined ? [] : [target] };
    for (const one of stopped) execution.stop(one);
    return res;
  }

  // What the kernel knows of memory makes no difference here.
  registerArena(): number {
    return 0;
  }
  unregisterArena(): number {
    return 0;
  }
  releaseArena(): void {}
  isAttached(): boolean {
    return false;
  }

  shareArena(): number {
    throw notMocked('cloned buffers');
  }
  registerPersonality(): number {
    throw notMocked('personalities');
  }
  unregisterPersonality(): number {
    throw notMocked('personalities');
  }
  registerEventfd(): number {
    throw notMocked('eventfd');
  }
  unregisterEventfd(): number {
    throw notMocked('eventfd');
  }
  setEventfdEnabled(): number {
    throw notMocked('eventfd');
  }
  restrict(): number {
    throw notMocked('restrictions');
  }
  setWorkerAffinity(): number {
    throw notMocked('worker threads');
  }
  setWorkerLimits(): number[] {
    throw notMocked('worker threads');
  }
  registerNapi(): number[] {
    throw notMocked('network devices');
  }
  unregisterNapi(): number[] {
    throw notMocked('network devices');
  }
  napiId(): number {
    throw notMocked('network devices');
  }
  setClock(): number {
    throw notMocked('clock but its own', 'move it with kernel.clock.advance()');
  }
}
