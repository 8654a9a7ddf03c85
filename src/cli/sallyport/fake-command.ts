/** `sallyport fake PROTOCOL`: a gateway on loopback with scripted users, until Ctrl-C. For tests of whatever logs in. */
import { readFileSync } from 'node:fs';
import type { ProtocolId } from '../../core/auth/protocol-id.ts';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import { FakeGateway, hasCertificate, INSIDE } from '../../gateway/fake/fake-gateway.ts';
import type { FakeQuestion, FakeUser } from '../../gateway/fake/fake-visitor.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { EVENTS_VERSION } from './json-events.ts';

export interface FakeArguments {
  readonly port?: number;
  /** `NAME:PASSWORD`, with further answers, or questions with theirs, behind further colons. */
  readonly user?: readonly string[];
  /** How clients are told of the page that people log in at with a browser. */
  readonly browser?: 'redirect' | 'post';
  /** A file with the authority of certificates that clients must show in the log-in. */
  readonly clientCa?: string;
  readonly json?: true;
}

/** It is ready when standard output has a line. SIGUSR1 ends all sessions, as an administrator does; SIGINT and SIGTERM end it. */
export async function runFake(protocol: ProtocolId, { port, user, browser, clientCa, json }: FakeArguments): Promise<ExitCode> {
  const stopped = Promise.withResolvers<void>();
  try {
    const users = user?.map(parseFakeUser);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.resolve());
    await using gateway = await FakeGateway.start({
      protocol,
      ...(port !== undefined && { port }),
      ...(browser !== undefined && { browserLogin: browser }),
      ...(users !== undefined && { users }),
      ...(clientCa !== undefined && { clientAuthority: readAuthority(clientCa) }),
      log: { log: (level, event, fields) => say(level, event, fields ?? {}) },
    });
    process.on('SIGUSR1', () => void gateway.kick());
    const facts = { protocol, url: gateway.url, pin: gateway.pin, inside: INSIDE.ipv4 };
    process.stdout.write(
      json
        ? `${JSON.stringify({ v: EVENTS_VERSION, ready: facts })}\n`
        : `Ready: ${protocol} at ${gateway.url}, ${gateway.pin}, inside ${INSIDE.ipv4}\n`,
    );
    await stopped.promise;
    return EXIT.ok;
  } catch (error) {
    const isMisuse = error instanceof MisuseError;
    const reason = error instanceof SallyportError ? error.message : systemErrorText(error);
    process.stderr.write(isMisuse ? `${reason}\n` : `The fake gateway does not run: ${reason}\n`);
    return isMisuse ? EXIT.usage : EXIT.localSetup;
  }
}

/** `alice:secret`, `alice:secret:123456` (a code) or `alice:secret:Which colour?=blue` (any question). Throws {@link MisuseError}. */
export function parseFakeUser(text: string): FakeUser {
  const [name = '', password, ...answers] = text.split(':');
  if (name === '' || password === undefined)
    throw new MisuseError('A user is written NAME:PASSWORD, or NAME:PASSWORD:CODE where a code is asked as well.');
  return { name, password, questions: answers.map(questionOf) };
}

/** Throws {@link SallyportError} for a file that cannot be read, or has no certificate. */
function readAuthority(file: string): string {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw new SallyportError('ERR_CLIENT_CA', `The file of --client-ca, ${file}, cannot be read: ${systemErrorText(error)}.`, {
      cause: error,
    });
  }
  const pem = content.toString('latin1');
  if (hasCertificate(pem)) return pem;
  const advice = `Give the certificate of the authority that has signed those of your clients; one in DER becomes PEM by "openssl x509 -inform DER -in ${file}".`;
  throw new SallyportError('ERR_CLIENT_CA', `The file of --client-ca, ${file}, has no certificate in PEM. ${advice}`);
}

function questionOf(text: string): FakeQuestion {
  const equals = text.indexOf('=');
  if (equals < 0) return { prompt: 'Please enter your code.', answer: text };
  return { prompt: text.slice(0, equals), answer: text.slice(equals + 1), kind: 'text' };
}

function say(level: string, event: string, fields: Readonly<Record<string, unknown>>): void {
  if (level === 'debug' || level === 'trace') return;
  const words = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`);
  process.stderr.write(`${event}${words.join('')}\n`);
}
