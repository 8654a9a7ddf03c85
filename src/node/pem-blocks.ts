/** The blocks of a file in PEM, as DER. */
import { BER } from '../core/wire/ber.ts';

/** Lists of one file, and certificates of the file with authorities. */
const MAX_BLOCKS = 256;

/** Those with this label; a file that is DER is one block. */
export function derBlocks(content: Buffer, label: string): readonly Uint8Array[] {
  if (content[0] === BER.sequence) return [content];
  const blocks = content.toString('latin1').matchAll(new RegExp(`-----BEGIN ${label}-----([^-]*)-----END ${label}-----`, 'g'));
  return [...blocks].slice(0, MAX_BLOCKS).map(([, text = '']) => Buffer.from(text, 'base64'));
}
