#!/usr/bin/env node
// CommonJS throughout, the bundle as well: modules take Node some 15 milliseconds longer to load.
process.on('SIGUSR1', () => undefined); // before Node opens its inspector on it; the command installs its own
if (Number.parseInt(process.versions.node, 10) < 24) require('./require-node.js').requireNode();
const code = require('./code-cache.js');

code
  .load('sallyport')
  .main(code.keepWarmCode)
  .then((status) => {
    code.keepNewCode();
    process.exit(status);
  });
