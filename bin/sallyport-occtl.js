#!/usr/bin/env node
// CommonJS throughout, the bundle as well: modules take Node some 15 milliseconds longer to load.
if (Number.parseInt(process.versions.node, 10) < 24) require('./require-node.js').requireNode();
const code = require('./code-cache.js');

code
  .load('occtl')
  .main()
  .then((status) => {
    code.keepNewCode();
    process.exit(status);
  });
