/**
 * The host scan ("CSD") of a log-in: the user's own program reports on this machine, then the gateway is polled until it is content.
 *
 * Read first: spec "AnyConnect", section 3.16. What a gateway sends to be run is handed to the user's program as a file and never executed.
 */
import type { ConnectionFacts, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import type { HttpResponse } from '../../http/message.ts';
import { formatUrl, resolveLocation } from '../../http/url.ts';
import { fromUtf8, toHex } from '../../wire/text.ts';
import type { HostScan } from './gateway-document.ts';

/** Between two polls (spec 3.16). */
const POLL_INTERVAL_MS = 1000;

/** Polls before we give up: five minutes. */
const MAX_POLLS = 300;

export interface ScanContext {
  readonly io: LoginIo;
  /** Where the form's answer goes. */
  readonly place: Target;
  readonly group: string | undefined;
  /** A GET from the gateway with the headers and cookies of the log-in. */
  readonly get: (url: string) => Promise<HttpResponse>;
}

/** Has the machine reported on. Rejects with what the user's program and {@link ScanContext.get} reject with. */
export async function scanHost(scan: HostScan, context: ScanContext): Promise<void> {
  const { io, place } = context;
  const stub = scan.stubUri === undefined ? undefined : await fetchStub(scan.stubUri, context);
  const facts = io.connection();
  await io.checkHost({
    arguments: scanArguments(scan, context, facts),
    environment: {
      CSD_SHA256: facts.pin.replace(/^pin-sha256:/, ''),
      CSD_TOKEN: scan.token.reveal(),
      CSD_HOSTNAME: place.host,
    },
    ...(stub !== undefined && { stub }),
  });
}

/** The program is the user's own: without the gateway's, it may still know what to report. */
async function fetchStub(uri: string, { io, get }: ScanContext): Promise<Uint8Array | undefined> {
  const { status, body } = await get(uri);
  if (status === 200) return body;
  io.log.log('warn', 'host scan program not there', { status });
  return undefined;
}

/** Polls until the gateway has taken the report. Throws {@link PeerRefusedError} or {@link PeerMisbehavedError} if that ends badly. */
export async function awaitScan(scan: HostScan, { io, get }: ScanContext): Promise<void> {
  for (let polls = 0; polls < MAX_POLLS; polls++) {
    const response = await get(scan.waitUri);
    const text = fromUtf8(response.body);
    if (/http-equiv="refresh"/i.test(text)) {
      io.log.log('info', 'host scan pending');
      await io.sleep(POLL_INTERVAL_MS);
    } else if (text.startsWith('<?xml')) {
      return;
    } else {
      throw new PeerMisbehavedError(`The gateway's answer to the host scan is not known: HTTP ${response.status}.`);
    }
  }
  throw new PeerRefusedError(`The gateway did not finish the host scan within ${(MAX_POLLS * POLL_INTERVAL_MS) / 1000} s.`);
}

/** The double quotes are part of the values: the programs that read them expect it (spec 3.16, observed). */
function scanArguments(scan: HostScan, { io, place, group }: ScanContext, facts: ConnectionFacts): string[] {
  const md5 = (certificate: Uint8Array | undefined) =>
    certificate === undefined ? '' : toHex(io.crypto.hash('md5', certificate)).toUpperCase();
  const values: readonly (readonly [string, string])[] = [
    ['-ticket', scan.ticket],
    ['-stub', '0'],
    ['-group', group ?? ''],
    ['-certhash', `${md5(facts.peerCertificate)}:${md5(facts.clientCertificate)}`],
    ['-url', formatUrl(resolveLocation(place, scan.startUri))],
  ];
  return [...values.flatMap(([name, value]) => [name, `"${value}"`]), '-langselen'];
}
