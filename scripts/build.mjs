// `npm run build`, and what `npm install` runs in a checkout.
import { build } from './lib/build.mjs';
import { script } from './lib/project.mjs';

await script(build);
