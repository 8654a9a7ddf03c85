/** Long streams whose bytes come again with a seed, and their hashes: neither end holds more than a block of them. */
import { type Cipheriv, createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';

const BLOCK = 64 * 1024;
const ZEROS = new Uint8Array(BLOCK);

/** Sends `size` bytes, ends, and reads until the peer has ended. What was sent and what came, as hashes, each beginning with how much it was. */
export async function exchange(socket: Duplex, size: number, seed: number): Promise<{ readonly sent: string; readonly came: string }> {
  const [sent, came] = await Promise.all([sendAll(socket, size, seed), readAll(socket)]);
  return { sent, came };
}

async function sendAll(socket: Duplex, size: number, seed: number): Promise<string> {
  const source = randomBlocks(seed);
  const hash = createHash('sha256');
  for (let left = size; left > 0; left -= BLOCK) {
    const block = source.update(left < BLOCK ? ZEROS.subarray(0, left) : ZEROS);
    hash.update(block);
    if (!socket.write(block)) await once(socket, 'drain');
  }
  socket.end();
  return `${size} ${hash.digest('hex')}`;
}

async function readAll(socket: Duplex): Promise<string> {
  const hash = createHash('sha256');
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length;
    hash.update(chunk);
  });
  await once(socket, 'end');
  return `${length} ${hash.digest('hex')}`;
}

/** A key stream: as random as it needs to be, and as fast as it can be. */
function randomBlocks(seed: number): Cipheriv {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
}
