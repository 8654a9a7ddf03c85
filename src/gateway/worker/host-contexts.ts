/**
 * The hosts' TLS as a worker has it: set up from {@link HostMaterial}, and anew when that changes. Connections that are there keep what they began with.
 */
import type { InnerTlsServer } from '../../core/auth/inner-tls.ts';
import { UnsupportedError } from '../../core/errors.ts';
import { InnerTlsContexts } from '../../node/inner-tls-server.ts';
import { OpenSslServer } from '../../node/openssl-server.ts';
import type { HostSettings, TlsAcceptor, TlsIdentity } from '../../node/tls-acceptor.ts';
import { TlsServer } from '../../node/tls-server.ts';
import { chainOf } from './certificate-chain.ts';
import { type HostMaterial, isSameMaterial } from './host-material.ts';

export class HostContexts {
  #materials: readonly HostMaterial[];
  readonly #isPortable: boolean;
  readonly #inner = new InnerTlsContexts();
  #server: TlsAcceptor;
  #issuers: ReadonlyMap<string, Uint8Array>;

  /** The first is the default host. Throws {@link MisuseError} if one of them cannot be set up. @param isPortable by node:tls in any case */
  constructor(materials: readonly HostMaterial[], isPortable = false) {
    this.#materials = materials;
    this.#isPortable = isPortable;
    this.#server = this.#serverOf(materials);
    this.#issuers = issuersOf(materials);
  }

  /** For the connections that come from now on. */
  get server(): TlsAcceptor {
    return this.#server;
  }

  /** Sets up what has changed: false if nothing has. Throws {@link MisuseError} and goes on with what there was if it cannot be. */
  replace(materials: readonly HostMaterial[]): boolean {
    if (isSameMaterial(this.#materials, materials)) return false;
    const [issuers, server] = [issuersOf(materials), this.#serverOf(materials)];
    this.#server.retire();
    this.#materials = materials;
    this.#server = server;
    this.#issuers = issuers;
    return true;
  }

  /** TLS inside of a connection that has come to this host, and was shown this certificate (DER). */
  innerTls(identity: TlsIdentity, certificate: Uint8Array): InnerTlsServer {
    return this.#inner.serve(identity, certificate);
  }

  #serverOf(materials: readonly HostMaterial[]): TlsAcceptor {
    const identities = materials.map(identityOf);
    if (this.#isPortable) return new TlsServer(identities);
    try {
      return new OpenSslServer(identities);
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      return new TlsServer(identities);
    }
  }

  /** DER of who issued a certificate of ours, where its file says. */
  issuerOf(certificate: Uint8Array): Uint8Array | undefined {
    return this.#issuers.get(keyOf(certificate));
  }
}

function identityOf({ name, clientCertificates, ocspResponse, ...material }: HostMaterial): TlsIdentity {
  return {
    ...{ clientCertificates, tls: settingsOf(material) },
    ...(name !== undefined && { name }),
    ...(ocspResponse !== undefined && { ocspResponse }),
  };
}

type Settings = Pick<HostMaterial, 'certificates' | 'clientAuthority' | 'revocationList' | 'policy'>;

function settingsOf({ certificates, clientAuthority, revocationList, policy }: Settings): HostSettings {
  const { minVersion, maxVersion, ciphers, groups, signatures, prefersServerOrder } = policy;
  return {
    cert: certificates.map(({ certificate }) => certificate),
    key: certificates.map(({ key, pin }) => ({ pem: key.reveal(), ...(pin !== undefined && { passphrase: pin.reveal() }) })),
    // Without an authority no client is known: never by those that the machine trusts.
    ca: clientAuthority ?? [],
    // DHE suites where the policy has them: with parameters as strong as the certificate.
    ...{ minVersion, maxVersion, honorCipherOrder: prefersServerOrder, dhparam: 'auto' },
    ...(revocationList !== undefined && { crl: revocationList }),
    ...(ciphers !== undefined && { ciphers }),
    ...(groups !== undefined && { ecdhCurve: groups }),
    ...(signatures !== undefined && { sigalgs: signatures }),
  };
}

function issuersOf(materials: readonly HostMaterial[]): ReadonlyMap<string, Uint8Array> {
  const chains = materials.flatMap(({ certificates }) => certificates.map(({ certificate }) => chainOf(certificate)));
  return new Map(chains.flatMap(([leaf, issuer]) => (leaf === undefined || issuer === undefined ? [] : [[keyOf(leaf), issuer] as const])));
}

function keyOf(certificate: Uint8Array): string {
  return Buffer.from(certificate).toString('base64');
}
