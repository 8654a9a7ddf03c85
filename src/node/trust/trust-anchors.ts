/**
 * Whom to believe: the system's certificate authorities and those of a file, in the form that `node:tls` takes.
 *
 * The system's own bundle comes before Mozilla's inside Node: administrators add their authorities to it. It is handed over as one text,
 * which OpenSSL reads in some 6 ms; `tls.getCACertificates('system')` takes some 45 ms, as it reads Debian's folder of single files too.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { MisuseError } from '../../core/errors.ts';
import { systemErrorText } from '../system-error.ts';

/** Where the distributions keep all authorities in one file. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Arch, Alpine, Gentoo
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // Fedora, Red Hat
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/ssl/cert.pem', // BSD
];

export interface TrustOptions {
  /** A file of further authorities, PEM or DER. */
  readonly caFile?: string | undefined;
  /** Believe the system's authorities. Default: true, unless there are fingerprints. */
  readonly systemTrust?: boolean | undefined;
  /** Fingerprints that decide in place of the system's authorities. Default: none. */
  readonly fingerprints?: readonly string[] | undefined;
}

/** Options for `tls.connect` or `tls.createSecureContext`; one context made of them serves many connections. */
export interface TrustAnchors {
  /** PEM texts, each of one certificate or of many. Empty: nobody is believed, not even Mozilla's list. */
  readonly ca: string[];
  /** A certificate that the user trusts is trusted, whether or not it is a root. False where there is none: Node would wait for Mozilla's list to be read. */
  readonly allowPartialTrustChain: boolean;
}

/**
 * Reads the authorities that the options name, and nothing else. Throws {@link MisuseError} if the file of `caFile`, or that of OpenSSL's
 * environment variable SSL_CERT_FILE (which stands for the system's authorities), cannot be used.
 */
export async function loadTrustAnchors(options: TrustOptions): Promise<TrustAnchors> {
  const { caFile, fingerprints = [], systemTrust = fingerprints.length === 0 } = options;
  const ca = [...(caFile === undefined ? [] : await readAuthorities(caFile)), ...(systemTrust ? await systemAuthorities() : [])];
  return { ca, allowPartialTrustChain: ca.length > 0 };
}

/** The certificates of the anchors one by one: slower, for those who must look into them. Those that OpenSSL cannot read are left out. */
export function anchorCertificates(anchors: TrustAnchors): X509Certificate[] {
  return anchors.ca.flatMap(pemBlocks).flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return []; // then it vouches for nobody either
    }
  });
}

/** DER of the anchors' certificates, read or not. */
export function anchorBytes(anchors: TrustAnchors): Uint8Array[] {
  return anchors.ca.flatMap(pemBlocks).map((block) => Buffer.from(block.replaceAll(/-----[^-]+-----/g, ''), 'base64'));
}

async function readAuthorities(path: string): Promise<string[]> {
  try {
    const bytes = await readFile(path);
    const blocks: (string | Buffer)[] = pemBlocks(bytes.toString('latin1'));
    return (blocks.length === 0 ? [bytes] : blocks).map((block) => new X509Certificate(block).toString());
  } catch (error) {
    throw new MisuseError(`${path}: its certificates cannot be read: ${systemErrorText(error)}`, {
      cause: error,
    });
  }
}

async function systemAuthorities(): Promise<string[]> {
  if (process.env.SSL_CERT_FILE) return readAuthorities(process.env.SSL_CERT_FILE);
  for (const path of SYSTEM_BUNDLES) {
    const text = await readFile(path, 'latin1').catch(() => ''); // other systems have other files
    if (text.includes(PEM_BEGIN)) return [text];
  }
  const system = getCACertificates('system'); // macOS, Windows
  return system.length > 0 ? system : getCACertificates('bundled');
}

const PEM_BEGIN = '-----BEGIN CERTIFICATE-----';

function pemBlocks(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
