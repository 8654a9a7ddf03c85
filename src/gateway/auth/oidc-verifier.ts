/**
 * Log-in by a token of an OpenID provider, which the client has got by itself and sends as `Authorization: Bearer`.
 *
 * Read first: spec "Gateway contract", section 3 (`oidc`); RFC 7519 §4.1 and §7.2; OpenID Connect Discovery 1.0 §4.
 *
 *   { "openid_configuration_url": "https://…/.well-known/openid-configuration",     or "jwks_file": "/etc/…/keys.json"
 *     "user_name_claim": "preferred_username", "required_claims": { "aud": "vpn", "iss": "https://…" }, "ca_file": "/etc/…/ca.pem" }
 */
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { NetworkError, PeerMisbehavedError, UnsupportedError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { systemErrorCode } from '../../node/system-error.ts';
import { CurrentFile } from './current-file.ts';

/** Only signatures that the gateway can check without being able to make them. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];

const MAX_TOKEN_CHARACTERS = 16_384;
const MAX_ANSWER_BYTES = 1 << 20;
const FETCH_TIMEOUT: Millis = 10_000;

/** Keys are fetched anew after so long, and no sooner than this for a token whose key is not among them. */
const KEYS_KEPT: Millis = 3_600_000;
const KEYS_KEPT_AT_LEAST: Millis = 60_000;

/** Seconds that the provider's clock may be off. */
const CLOCK_TOLERANCE = 60;

interface OidcFile {
  readonly openid_configuration_url?: string | undefined;
  readonly jwks_file?: string | undefined;
  readonly user_name_claim: string;
  readonly required_claims: Readonly<Record<string, string>>;
  /** Ours: the authority of the provider's certificate, where it is not a public one. */
  readonly ca_file?: string | undefined;
}

const FILE: z.ZodType<OidcFile> = z
  .object({
    openid_configuration_url: z.url({ protocol: /^https$/ }).optional(),
    jwks_file: z.string().min(1).optional(),
    user_name_claim: z.string().min(1),
    required_claims: z.record(z.string(), z.string()).refine((claims) => 'aud' in claims && 'iss' in claims, 'it must name aud and iss'),
    ca_file: z.string().min(1).optional(),
  })
  .refine(
    (file) => (file.openid_configuration_url === undefined) !== (file.jwks_file === undefined),
    'one of openid_configuration_url and jwks_file is needed',
  );

const DISCOVERY: z.ZodType<{ readonly jwks_uri: string }> = z.object({ jwks_uri: z.url({ protocol: /^https$/ }) });
const KEYS: z.ZodType<{ readonly keys: readonly Record<string, unknown>[] }> = z.object({
  keys: z.array(z.record(z.string(), z.unknown())).max(256),
});

interface KeptKeys {
  readonly of: OidcFile;
  readonly fetchedAt: number;
  readonly key: JWTVerifyGetKey;
}

export class OidcVerifier {
  readonly #file: CurrentFile<OidcFile>;
  readonly #log: Logger;
  readonly #now: () => number;
  #keys: KeptKeys | undefined;
  #fetching: Promise<KeptKeys> | undefined;

  constructor(file: string, { log, now }: { readonly log: Logger; readonly now: () => number }) {
    this.#file = new CurrentFile(file, (content) => parseOidcFile(file, content.toString()));
    this.#log = log;
    this.#now = now;
  }

  /** Whose token this is; undefined: it is not acceptable, or could not be checked. The reason is logged. */
  async userOf(token: Secret): Promise<string | undefined> {
    try {
      if (token.reveal().length > MAX_TOKEN_CHARACTERS)
        throw new PeerMisbehavedError(`the token is longer than ${MAX_TOKEN_CHARACTERS} characters`);
      const file = await this.#file.read();
      return await this.#verify(token, file);
    } catch (error) {
      // jose's messages name claims and never the token.
      this.#log.log(error instanceof NetworkError || error instanceof UnsupportedError ? 'error' : 'info', 'token refused', {
        file: this.#file.path,
        reason: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    }
  }

  async #verify(token: Secret, file: OidcFile): Promise<string> {
    const { jwtVerify } = await jose();
    const { aud = '', iss = '', ...others } = file.required_claims;
    const options = {
      algorithms: ALGORITHMS,
      audience: aud,
      issuer: iss,
      clockTolerance: CLOCK_TOLERANCE,
      currentDate: new Date(this.#now()),
      requiredClaims: ['exp', file.user_name_claim],
    };
    const keys = await this.#currentKeys(file);
    const verified = await jwtVerify(token.reveal(), keys.key, options).catch(async (error: unknown) => {
      const isRotated = systemErrorCode(error) === 'ERR_JWKS_NO_MATCHING_KEY' && this.#now() - keys.fetchedAt >= KEYS_KEPT_AT_LEAST;
      if (!isRotated) throw error;
      return jwtVerify(token.reveal(), (await this.#fetchKeys(file)).key, options);
    });
    for (const [claim, wanted] of Object.entries(others)) {
      if (verified.payload[claim] !== wanted) throw new PeerMisbehavedError(`the token's claim "${claim}" is not the one that is required`);
    }
    const user = verified.payload[file.user_name_claim];
    if (typeof user !== 'string') throw new PeerMisbehavedError(`the token's claim "${file.user_name_claim}" is no text`);
    return user;
  }

  async #currentKeys(file: OidcFile): Promise<KeptKeys> {
    const kept = this.#keys;
    const isFresh = kept !== undefined && kept.of === file && this.#now() - kept.fetchedAt < (file.jwks_file === undefined ? KEYS_KEPT : 0);
    return isFresh ? kept : this.#fetchKeys(file);
  }

  /** Once for all who wait. */
  #fetchKeys(file: OidcFile): Promise<KeptKeys> {
    this.#fetching ??= this.#loadKeys(file).finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #loadKeys(file: OidcFile): Promise<KeptKeys> {
    const { createLocalJWKSet } = await jose();
    const keys = KEYS.parse(file.jwks_file === undefined ? await discoveredKeys(file) : JSON.parse(await readFile(file.jwks_file, 'utf8')));
    this.#keys = { of: file, fetchedAt: this.#now(), key: createLocalJWKSet(keys as JSONWebKeySet) };
    return this.#keys;
  }
}

export function parseOidcFile(file: string, text: string): OidcFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UnsupportedError(`${file} is not JSON`, { cause });
  }
  const parsed = FILE.safeParse(value);
  if (!parsed.success) throw new UnsupportedError(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

async function discoveredKeys({ openid_configuration_url: url = '', ca_file: caFile }: OidcFile): Promise<unknown> {
  const authority = caFile === undefined ? undefined : await readFile(caFile);
  const { jwks_uri: keysUrl } = DISCOVERY.parse(await fetchJson(url, authority));
  return fetchJson(keysUrl, authority);
}

function fetchJson(url: string, ca: Buffer | undefined): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown) => reject(new NetworkError(`${url}: ${reason}`, { cause }));
    const signal = AbortSignal.timeout(FETCH_TIMEOUT);
    const asked = request(url, { signal, headers: { accept: 'application/json' }, ...(ca !== undefined && { ca }) }, (answer) => {
      const chunks: Buffer[] = [];
      let length = 0;
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MAX_ANSWER_BYTES) answer.destroy(new PeerMisbehavedError(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`));
        else chunks.push(chunk);
      });
      answer.once('error', (error) => fail(error.message, error));
      answer.once('end', () => {
        if (answer.statusCode !== 200) return fail(`the answer is ${answer.statusCode}, not 200`);
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()));
        } catch (error) {
          fail('the answer is not JSON', error);
        }
      });
    });
    asked.once('error', (error) => fail(signal.aborted ? `no answer within ${FETCH_TIMEOUT} ms` : error.message, error));
    asked.end();
  });
}

async function jose(): Promise<typeof import('jose')> {
  try {
    return await import('jose');
  } catch (cause) {
    throw new UnsupportedError('Log-in by tokens (auth = oidc) needs the package jose, which is not installed. Run "npm install jose".', {
      cause,
    });
  }
}
