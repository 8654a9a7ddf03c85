#!/usr/bin/env node
// CommonJS throughout, the bundle as well: modules take Node some 15 milliseconds longer to load.
require('./require-node.js').requireNode();
require('./code-cache.js').keepCompiledCode();
require('../dist/bundle/occtl.cjs')
  .main()
  .then((status) => process.exit(status));
