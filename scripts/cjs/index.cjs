'use strict';
// One implementation for both module systems: every supported Node can require() an ES module, so a
// CommonJS user and an ESM user of one process share the same Ring class and the same native binding.
module.exports = require('./index.js');
