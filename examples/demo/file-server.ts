/** Serves one file of random bytes over HTTP: `file-server.ts ADDRESS PORT BYTES`. Prints its SHA-256, then serves until it is ended. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const [address, port, size] = process.argv.slice(2);
const file = randomBytes(Number(size));
const server = createServer((_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': file.length });
  response.end(file);
});
server.listen(Number(port), address, () => console.log(`serving ${createHash('sha256').update(file).digest('hex')}`));
