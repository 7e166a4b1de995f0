'use strict';
// As index.cjs: the same modules, so that the mock's rings are instances of the same Ring.
module.exports = require('./mock/index.js');
