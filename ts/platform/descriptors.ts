import { closeSync } from 'node:fs';

/** Descriptors that the system does not know, with what closes them: those of mocks. */
const notOfTheSystem = new Map<number, () => void>();

/** Makes `closeDescriptor` call back for a number that is no descriptor of the system; answers what undoes that. */
export function stand(fd: number, close: () => void): () => void {
  notOfTheSystem.set(fd, close);
  return () => notOfTheSystem.delete(fd);
}

/** Closes a descriptor that nobody took, also one of a ring that is gone. */
export function closeDescriptor(fd: number): void {
  const close = notOfTheSystem.get(fd);
  if (close === undefined) closeSync(fd);
  else close();
}
