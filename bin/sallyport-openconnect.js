#!/bin/sh
':' // ; exec node --use-openssl-ca "$0" "$@"
// That line is the shell's. Without the option Node reads Mozilla's list of authorities as soon as TLS is loaded: 10 ms of a processor that a start has
// other work for. The command reads the system's list itself, where one is asked for.
//
// CommonJS throughout, the bundle as well: modules take Node some 15 milliseconds longer to load.
process.on('SIGUSR1', () => undefined); // before Node opens its inspector on it; the command installs its own
if (Number.parseInt(process.versions.node, 10) < 24) require('./require-node.js').requireNode();
const code = require('./code-cache.js');

code
  .load('openconnect')
  .main(code.keepWarmCode)
  .then((status) => {
    code.keepNewCode();
    process.exit(status);
  });
