/**
 * Splits a text file into its PEM blocks, with the headers of the traditional encryption.
 *
 * Read first: RFC 7468 (the blocks); RFC 1421, section 4.6 (the headers, as OpenSSL uses them).
 *
 *   -----BEGIN RSA PRIVATE KEY-----
 *   Proc-Type: 4,ENCRYPTED
 *   DEK-Info: DES-EDE3-CBC,1F0A…
 *
 *   base64 …
 *   -----END RSA PRIVATE KEY-----
 */
import { fromBase64 } from '../../core/wire/text.ts';
import { CredentialError } from './credential-error.ts';

/** Far more than any chain with its key; a bundle of all public authorities has some 150. */
const MAX_BLOCKS = 1000;

export interface PemBlock {
  /** `CERTIFICATE`, `RSA PRIVATE KEY` … */
  readonly label: string;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: Uint8Array;
}

/** The blocks in the order of the file; text around them is skipped. Throws {@link SallyportError} for a block that is not whole or not base64. */
export function parsePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: { readonly label: string; readonly lines: string[] } | undefined;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const begin = /^-----BEGIN ([^-]{1,64})-----\s*$/.exec(line)?.[1];
    if (begin !== undefined) {
      if (open !== undefined) throw new CredentialError(`the PEM block "${open.label}" has no end.`);
      if (blocks.length === MAX_BLOCKS) throw new CredentialError(`more than ${MAX_BLOCKS} PEM blocks.`);
      open = { label: begin, lines: [] };
    } else if (open !== undefined && line.startsWith(`-----END ${open.label}-----`)) {
      blocks.push(blockOf(open.label, open.lines));
      open = undefined;
    } else {
      open?.lines.push(line);
    }
  }
  if (open !== undefined) throw new CredentialError(`the PEM block "${open.label}" has no end.`);
  return blocks;
}

function blockOf(label: string, lines: readonly string[]): PemBlock {
  const headers = new Map<string, string>();
  let body = 0;
  for (; body < lines.length; body++) {
    const [, name, value] = /^([A-Za-z-]{1,32}):(.*)$/.exec(lines[body] ?? '') ?? [];
    if (name === undefined || value === undefined) break;
    headers.set(name.toLowerCase(), value.trim());
  }
  return { label, headers, bytes: fromBase64(lines.slice(body).join('')) };
}
