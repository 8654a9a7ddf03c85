/**
 * The TLS 1.3 exporter, spelled out as RFC 8446 has it: what the platform's own exporter is compared with.
 *
 * Read first: RFC 8446 §7.1 (HKDF-Expand-Label, Derive-Secret), §7.5 (exporters); RFC 5869 §2.3 (HKDF-Expand).
 */
import { createHash, createHmac } from 'node:crypto';

export type Tls13Hash = 'sha256' | 'sha384';

/** The exporter without context. */
export function tls13Export(hash: Tls13Hash, exporterMasterSecret: Uint8Array, label: string, length: number): Uint8Array {
  const empty = createHash(hash).digest();
  const secret = expandLabel(hash, exporterMasterSecret, label, empty, empty.length);
  return expandLabel(hash, secret, 'exporter', empty, length);
}

function expandLabel(hash: Tls13Hash, secret: Uint8Array, label: string, context: Uint8Array, length: number): Uint8Array {
  const fullLabel = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(length >>> 8, length, fullLabel.length), fullLabel, Buffer.of(context.length), context]);
  const blocks: Buffer[] = [];
  for (let made = 0; made < length; made += blocks[0]?.length ?? 0) {
    const hmac = createHmac(hash, secret);
    blocks.push(hmac.update(Buffer.concat([blocks.at(-1) ?? Buffer.alloc(0), info, Buffer.of(blocks.length + 1)])).digest());
  }
  return new Uint8Array(Buffer.concat(blocks).subarray(0, length));
}
