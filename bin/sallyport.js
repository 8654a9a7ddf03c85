#!/usr/bin/env node
// Plain JavaScript that any Node understands: checks its version before anything newer is loaded.
process.on('SIGUSR1', () => undefined); // before Node opens its inspector on it; the command installs its own
const { requireNode } = await import('./require-node.js');
requireNode();
const { keepCompiledCode } = await import('./code-cache.js');
keepCompiledCode();
const { main } = await import('../dist/bundle/sallyport.js');
process.exit(await main());
