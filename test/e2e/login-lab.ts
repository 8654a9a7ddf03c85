/**
 * A real gateway and the two clients that log in to it as a user would have them do: our drop-in, and Debian's openconnect beside it.
 *
 * Everything that our drop-in ever wrote (and our gateway, where a test has that one) is searched for secrets when the lab closes: the users' passwords, the cookies that the gateway issued, and
 * whatever a test adds. So every test is one about secrets too.
 *
 * Read first: spec "Client command-line contract", sections 5 to 7; the test lab's README.
 *
 * @example
 * await using login = await LoginLab.open();
 * const { code, stdout } = await login.run(['--cookieonly', '--user', 'alice', ...login.pinned], { input: 'correct horse\n' });
 */
import assert from 'node:assert/strict';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { OUR_GATEWAY } from '../support/gateway-program.ts';
import { Lab } from '../support/lab.ts';
import type { Namespace } from '../support/namespaces.ts';
import { ALICE, Ocserv, type OcservOptions } from '../support/ocserv.ts';
import { OPENCONNECT } from '../support/openconnect.ts';
import type { Finished, Program, ProgramOptions } from '../support/program.ts';

/** At this level ocserv says which requests it got, with their bodies, and which cookies. */
const REQUESTS_DEBUG_LEVEL = 8;

/** The password of {@link ALICE} as a line of standard input. */
export const ALICES_LINE = `${ALICE.password}\n`;

/** A request as the gateway read it. */
export interface GatewayRequest {
  /** `POST /auth` */
  readonly line: string;
  /** `Name: value`, in their order. */
  readonly headers: readonly string[];
  readonly body: string | undefined;
}

export class LoginLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly ocserv: Ocserv;
  /** Searched for in what our drop-in wrote, besides passwords and cookies. */
  readonly secrets: Set<string>;
  readonly #ours: { readonly program: Program; readonly args: readonly string[] }[] = [];
  /** The gateway is ours too: its log is searched as well. */
  readonly #isOurGateway: boolean;
  readonly #issued = new Set<string>();

  private constructor(lab: Lab, ocserv: Ocserv, secrets: readonly string[], isOurGateway: boolean) {
    this.#isOurGateway = isOurGateway;
    this.lab = lab;
    this.ocserv = ocserv;
    this.secrets = new Set(secrets);
  }

  static async open(options: OcservOptions = {}): Promise<LoginLab> {
    const lab = await Lab.open();
    try {
      const { users = [ALICE] } = options;
      const ocserv = await Ocserv.start(lab, { debugLevel: REQUESTS_DEBUG_LEVEL, ...options });
      const passwords = users.map(({ password }) => password);
      return new LoginLab(lab, ocserv, passwords, options.program === OUR_GATEWAY);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get client(): Namespace {
    return this.lab.client;
  }

  /** The last arguments: the gateway, and its key. */
  get pinned(): readonly [option: string, pin: string, gateway: string] {
    return ['--servercert', this.ocserv.pin, this.ocserv.gateway];
  }

  /** Starts our drop-in. */
  start(args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    return this.startAs(DROP_IN, args, options);
  }

  /** Starts a program that does the work of our drop-in: a link to it, or a shell that runs it. */
  async startAs(command: readonly [string, ...string[]], args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    const [program, ...leading] = command;
    const started = await this.client.start(program, [...leading, ...args], options);
    this.#ours.push({ program: started, args: [...leading, ...args] });
    return started;
  }

  /** Starts our drop-in on a terminal of its own; `write` types. Its lines end in CR LF, and all it writes is standard output. */
  startAtTerminal(args: readonly string[]): Promise<Program> {
    const command = [...DROP_IN, ...args].map(shellQuoted).join(' ');
    return this.startAs(['script'], ['--quiet', '--return', '--command', `exec ${command}`, '/dev/null'], { keepsInputOpen: true });
  }

  /** Runs our drop-in to its end. */
  async run(args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
    return await (await this.start(args, options)).finish();
  }

  /** Runs Debian's openconnect to its end. */
  async runPeer(args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
    const [program, ...leading] = OPENCONNECT;
    const finished = await this.client.finish(program, [...leading, ...args], options);
    for (const cookie of cookieValues(finished.stdout)) this.#issued.add(cookie);
    return finished;
  }

  /** Everything that the gateway was asked so far, by whomever. */
  requests(): GatewayRequest[] {
    return gatewayRequests(this.ocserv.log);
  }

  /** The cookies that clients have sent back to the gateway so far. */
  cookies(): string[] {
    return [...this.ocserv.log.matchAll(/HTTP processing: Cookie: (.*)/g)].flatMap(([, line = '']) => cookieValues(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#assertSecretsKept();
    } finally {
      await this.lab.close();
    }
  }

  #assertGatewayKeeps(secrets: readonly string[]): void {
    for (const secret of secrets.filter(({ length }) => length >= SHORTEST_SECRET)) {
      for (const spelling of spellingsOf(secret)) assert.ok(!this.ocserv.log.includes(spelling), `"${spelling}" is in the gateway's log`);
    }
  }

  #assertSecretsKept(): void {
    if (this.#isOurGateway) this.#assertGatewayKeeps([...this.secrets, ...this.#issued]);
    for (const { program, args } of this.#ours) {
      const result = /^(?:COOKIE='|(?:openconnect_strapkey=|webvpn=)).*$/m.exec(program.stdout)?.[0] ?? '';
      const isWanted = args.some((argument) => /--(?:authenticate|cookieonly|printcookie)\b/.test(argument));
      const text = isWanted ? program.output.replace(result, '') : program.output;
      const cookies = [...this.cookies(), ...cookieValues(result)];
      for (const secret of [...this.secrets, ...cookies].filter(({ length }) => length >= SHORTEST_SECRET)) {
        for (const spelling of spellingsOf(secret)) {
          assert.ok(!text.includes(spelling), `"${spelling}" is in what ${program.describe()}`);
        }
      }
    }
  }
}

/** What is shorter may be in any text by chance. */
const SHORTEST_SECRET = 4;

/** A secret as it is, and as XML, forms and HTTP authentication write it. */
function spellingsOf(secret: string): Set<string> {
  const xml = secret.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
  const named = secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
  return new Set([secret, xml, named, named.replaceAll("'", '&apos;'), encodeURIComponent(secret), Buffer.from(secret).toString('base64')]);
}

function cookieValues(line: string): string[] {
  return [...line.matchAll(/\b(?:webvpn|webvpncontext|openconnect_strapkey)=([^;'\s]+)/g)].map(([, value = '']) => value);
}

/** What ocserv's log (level {@link REQUESTS_DEBUG_LEVEL}) says of requests: headers one by one, then method and target, then the body. */
function gatewayRequests(log: string): GatewayRequest[] {
  const requests: GatewayRequest[] = [];
  let headers: string[] = [];
  for (const match of log.matchAll(/ HTTP (processing: )?((?:GET|POST|CONNECT) \S+|.+)$|POST body: '([\s\S]*?)'$/gm)) {
    const [, isHeader, text = '', body] = match;
    const last = requests.at(-1);
    if (body !== undefined && last !== undefined) requests[requests.length - 1] = { ...last, body };
    else if (isHeader !== undefined) headers.push(text);
    else if (/^(?:GET|POST|CONNECT) /.test(text)) {
      requests.push({ line: text, headers, body: undefined });
      headers = [];
    }
  }
  return requests;
}
