/** Debian's FreeRADIUS on loopback for one test: users by its own words, the requests that it saw. Say `skip: missing('freeradius')` where you use it. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Namespace } from './namespaces.ts';
import { type Program, startProgram } from './program.ts';

export const RADIUS_SECRET = 'sesame';

export interface FreeRadiusOptions {
  readonly users: string;
  readonly authorize?: string;
  readonly signsAnswers?: boolean;
  /** Requests without Message-Authenticator are dropped. Default true; Debian's radcli sends none. */
  readonly wantsSignedRequests?: boolean;
  /** Where it runs. Default: where the test does. */
  readonly namespace?: Namespace;
}

export class FreeRadius implements AsyncDisposable {
  readonly folder: string;
  readonly ports: { readonly authentication: number; readonly accounting: number };
  readonly #program: Program;

  private constructor(folder: string, ports: FreeRadius['ports'], program: Program) {
    this.folder = folder;
    this.ports = ports;
    this.#program = program;
  }

  /**
   * @param users as in its file `users`
   * @param authorize statements in its language, before the password is looked at
   * @param signsAnswers whether answers have Message-Authenticator. Debian 12's has none unless it is told so.
   */
  static async start(options: FreeRadiusOptions): Promise<FreeRadius> {
    const { users, namespace } = options;
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-radius-'));
    const ports = { authentication: await freePort(), accounting: await freePort() };
    writeFileSync(path.join(folder, 'users'), users);
    writeFileSync(path.join(folder, 'radiusd.conf'), configuration(folder, ports, options));
    const args = ['-X', '-d', folder];
    const program = await (namespace?.start('freeradius', args) ?? startProgram('freeradius', args, 'freeradius'));
    await program.waitFor(/Ready to process requests/);
    return new FreeRadius(folder, ports, program);
  }

  /** Everything that it has logged: each request with its attributes. */
  get log(): string {
    return this.#program.output;
  }

  /** Waits for a line; see {@link Program.waitFor}. */
  waitFor(pattern: RegExp, options: { readonly after?: number } = {}): Promise<RegExpExecArray> {
    return this.#program.waitFor(pattern, options);
  }

  /** Writes the file that clients of radcli read; its path. */
  clientFile(more = ''): string {
    const servers = path.join(this.folder, 'servers');
    const file = path.join(this.folder, 'radiusclient.conf');
    writeFileSync(servers, `# host secret\n127.0.0.1 ${RADIUS_SECRET}\n`);
    const { authentication, accounting } = this.ports;
    const lines = [
      `authserver 127.0.0.1:${authentication}`,
      `acctserver 127.0.0.1:${accounting}`,
      `servers ${servers}`,
      'radius_timeout 2',
    ];
    writeFileSync(file, `${lines.join('\n')}\nradius_retries 1\nbindaddr *\n${more}`);
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function configuration(
  folder: string,
  { authentication, accounting }: FreeRadius['ports'],
  { authorize = '', signsAnswers = true, wantsSignedRequests = true }: FreeRadiusOptions,
): string {
  const sign = signsAnswers ? 'update reply {\n      &Message-Authenticator := 0x00\n    }' : 'ok';
  const client = `ipaddr = 127.0.0.1\n  secret = ${RADIUS_SECRET}\n  require_message_authenticator = ${wantsSignedRequests ? 'yes' : 'no'}`;
  return `
libdir = /usr/lib/freeradius
logdir = ${folder}
run_dir = ${folder}
db_dir = ${folder}
client test {
  ${client}
}
modules {
  pap {
  }
  files {
    filename = ${folder}/users
  }
  always handled {
    rcode = handled
  }
  always ok {
    rcode = ok
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = ${authentication}
  }
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = ${accounting}
  }
  authorize {
    ${authorize}
    files
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
  }
  accounting {
    ok
  }
  post-auth {
    ${sign}
    Post-Auth-Type REJECT {
      ${sign}
    }
    Post-Auth-Type Challenge {
      ${sign}
    }
  }
}
`;
}

/** Of UDP; nobody had it a moment ago. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
