/** A proxy as a program, for a namespace. Its argument: the options of test-proxies.ts as JSON. It says `proxying`, then what it did for whom. */
import { startProxy } from './test-proxies.ts';

await startProxy(JSON.parse(process.argv[2] ?? '{}'), console.log);
console.log('proxying');
