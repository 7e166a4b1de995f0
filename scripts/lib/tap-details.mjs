// Loaded into ava. Its TAP reporter (supertap) gives js-yaml the details of a failed test, and dies of a value that YAML has
// no words for, such as undefined: the run ends there, and nobody learns which test failed.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from './project.mjs';

const yaml = createRequire(join(root, 'node_modules', 'supertap', 'package.json'))('js-yaml');
const { safeDump } = yaml;
yaml.safeDump = (value, options) => safeDump(value, { ...options, skipInvalid: true });
