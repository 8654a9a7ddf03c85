/** Fetches a URL as any program would, which knows nothing of a VPN: `fetch-file.ts URL`. Prints `BYTES SHA256 MILLISECONDS`. */
import { createHash } from 'node:crypto';

const [url = ''] = process.argv.slice(2);
const start = performance.now();
const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
const hash = createHash('sha256');
let bytes = 0;
for await (const chunk of response.body) {
  hash.update(chunk);
  bytes += chunk.length;
}
console.log(`${bytes} ${hash.digest('hex')} ${Math.round(performance.now() - start)}`);
