// @ts-ignore: "module": "node16" does not know yet that every Node supported here can require() an ES module.
export * from './index.js';
