// @ts-ignore: as in index.d.cts.
export * from './mock/index.js';
