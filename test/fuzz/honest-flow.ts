/**
 * What a gateway says that keeps to the protocol: log-ins of many shapes, and the answer to CONNECT. A hostile one says this too, up to the moment
 * at which it does not.
 *
 * Read first: spec "AnyConnect", sections 3.20 (the log-in's states) and 4.
 */
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { fromUtf8, toHex, utf8 } from '../../src/core/wire/text.ts';
import type { Dice } from './dice.ts';

/** What must never be shown: a password that the person gave beforehand, and what the gateway lets the client in with. */
export const PASSWORD = 'hunter2-PASSWORD';
export const SESSION_TOKEN = 'c00k1e-SESSION-TOKEN';

export const APP_ID: Uint8Array = new Uint8Array(32).fill(0x5e);

const XML = '<?xml version="1.0" encoding="UTF-8"?>\n';
const WAIT_PATH = '/+CSCOE+/sdesktop/wait.html';
const PROFILE_PATH = '/profiles/corp.xml';

const HOST_SCAN =
  '<host-scan><host-scan-ticket>TICKET</host-scan-ticket><host-scan-token>SCANNED</host-scan-token>' +
  `<host-scan-base-uri>/CACHE/start</host-scan-base-uri><host-scan-wait-uri>${WAIT_PATH}</host-scan-wait-uri></host-scan>`;
const OLD_HOST_SCAN = `<csd token="SCANNED" ticket="TICKET"/><csdLinux stuburl="/CACHE/stub" starturl="/CACHE/start" waiturl="${WAIT_PATH}"/>`;
const PROFILE =
  '<config client="vpn" type="private"><vpn-profile-manifest><vpn rev="1.0"><file type="profile" service-type="user">' +
  `<uri>${PROFILE_PATH}</uri><hash type="sha1">0123456789ABCDEF0123456789ABCDEF01234567</hash></file></vpn></vpn-profile-manifest></config>`;

const FORMS: readonly [string, ...string[]] = [
  '<input type="text" name="username" label="Username:"/>',
  '<input type="password" name="password" label="Password:"/>',
  '<input type="text" name="username" label="Username:"/><input type="password" name="password" label="Password:"/>',
  '<input type="hidden" name="tgroup" value="a b"/><input type="password" name="secondary_password" label="Code:" second-auth="1"/>',
  '<select name="group_list" label="Group:"><option value="a" selected="true">Alpha</option><option value="b" noaaa="1">Beta</option></select>' +
    '<input type="text" name="username" label="Username:"/><input type="password" name="password" label="Password:"/>',
  '<select name="realm" label="Realm:"><option>one</option><option>two</option></select><input type="text" name="answer" label="Answer:"/>',
];

const CHALLENGES: readonly [string, ...string[]] = [
  'Digest realm="gate", nonce="abc", qop="auth", algorithm=SHA-256',
  'NTLM',
  'Negotiate',
  'Basic realm="gate"',
];

type Prelude = 'none' | 'redirect' | 'legacy' | 'certificate' | 'http-auth' | 'host-scan' | 'old-host-scan';

/** One client's way through a gateway, however many connections it takes. */
export class HonestFlow {
  readonly #dice: Dice;
  readonly #port: number;
  readonly #prelude: Prelude;
  readonly #forms: readonly string[];
  readonly #hasProfile: boolean;
  readonly #tokenInDocument: boolean;
  readonly #setsContext: boolean;
  /** What the tunnel is granted, the same each time: another address would end the session. */
  readonly hasIpv6: boolean;
  #isPreludeOver = false;
  #formsSent = 0;
  #polls = 0;

  constructor(dice: Dice, port: number) {
    this.#dice = dice;
    this.#port = port;
    this.#prelude = dice.pick(['none', 'none', 'none', 'redirect', 'legacy', 'certificate', 'http-auth', 'host-scan', 'old-host-scan']);
    this.#forms = dice.times(dice.between(1, 3), () => dice.pick(FORMS));
    this.#hasProfile = dice.oneIn(4);
    this.#tokenInDocument = dice.oneIn(3);
    this.#setsContext = dice.oneIn(2);
    this.hasIpv6 = dice.oneIn(3);
  }

  /** For everything but CONNECT. */
  answer(request: HttpRequest): HttpResponse {
    const path = request.target.split('?', 1)[0] ?? '';
    if (path === WAIT_PATH) return this.#poll();
    if (path === PROFILE_PATH || path.startsWith('/CACHE/')) return page('<profile/>');
    const body = fromUtf8(request.body);
    const isReply = body.includes('type="auth-reply"') || (!body.includes('<?xml') && body.includes('='));
    if (isReply) this.#formsSent++;
    return this.#preludeTo(request, body) ?? this.#form();
  }

  #preludeTo(request: HttpRequest, body: string): HttpResponse | undefined {
    if (this.#isPreludeOver) return undefined;
    switch (this.#prelude) {
      case 'redirect':
        this.#isPreludeOver = true;
        return page('', 302, [['Location', `https://${this.#dice.pick(['127.0.0.1', 'localhost'])}:${this.#port}/elsewhere`]]);
      case 'legacy':
        return body.includes('<?xml') ? page('<html>Bad request</html>', 400) : undefined;
      case 'certificate':
        this.#isPreludeOver = body.includes('client-cert-fail');
        return this.#isPreludeOver ? undefined : document('<client-cert-request/>');
      case 'http-auth':
        if (
          headerValue(request.headers, 'X-Support-HTTP-Auth') === undefined ||
          headerValue(request.headers, 'Authorization') !== undefined
        ) {
          this.#isPreludeOver = true;
          return undefined;
        }
        return page('', 401, [
          ['WWW-Authenticate', this.#dice.pick(CHALLENGES)],
          ['X-HTTP-Auth-Support', 'fallback'],
        ]);
      case 'host-scan':
      case 'old-host-scan':
      case 'none':
        this.#isPreludeOver = true;
        return undefined;
    }
  }

  #poll(): HttpResponse {
    return ++this.#polls < 3 ? page('<html><meta http-equiv="refresh" content="1"></html>') : page(`${XML}<done/>`);
  }

  #form(): HttpResponse {
    const form = this.#forms[this.#formsSent];
    if (form === undefined) return this.#success();
    const scan = this.#prelude === 'host-scan' ? HOST_SCAN : '';
    const texts = this.#prelude === 'old-host-scan' ? OLD_HOST_SCAN : '';
    const opaque = '<opaque is-for="sg"><tunnel-group>corp</tunnel-group><config-hash>1617</config-hash></opaque>';
    const auth = `<auth id="main"><title>SSL VPN</title><banner>Welcome</banner><message>Say %s</message>${texts}`;
    const headers: HttpHeaders = this.#setsContext ? [['Set-Cookie', 'webvpncontext=1234; Secure; HttpOnly']] : [];
    return document(`${opaque}${scan}${auth}<form method="post" action="/auth">${form}</form></auth>`, headers);
  }

  #success(): HttpResponse {
    const token = this.#tokenInDocument ? `<session-token>${SESSION_TOKEN}</session-token>` : '';
    const cookies: HttpHeaders = this.#tokenInDocument
      ? []
      : [
          ['Set-Cookie', `webvpn=${SESSION_TOKEN}; Secure; HttpOnly`],
          ['Set-Cookie', 'webvpnc=bu:/&p:t&iu:1/&sh:00; path=/; Secure'],
        ];
    return document(`${token}<auth id="success"><banner>Hello</banner></auth>${this.#hasProfile ? PROFILE : ''}`, cookies);
  }
}

/** The headers of an answer to CONNECT, in the order of ocserv. `wanted`: the request. */
export function grantedHeaders(dice: Dice, wanted: HttpRequest, { udpPort, hasIpv6 }: { udpPort: number; hasIpv6: boolean }): HttpHeaders {
  const headers: [string, string][] = [
    ['X-CSTP-Version', '1'],
    ['X-CSTP-Server-Name', 'ocserv 1.1.6'],
    ['X-CSTP-Hostname', 'laptop'],
    ['X-CSTP-DPD', dice.pick(['90', '90', '30', '5', 'none'])],
    ['X-CSTP-Default-Domain', 'corp.example'],
    ['X-CSTP-Address', '10.1.1.2'],
    ['X-CSTP-Netmask', '255.255.255.0'],
    ['X-CSTP-DNS', '10.1.1.1'],
    ['X-CSTP-Split-DNS', 'corp.example'],
    ['X-CSTP-Split-Include', '10.0.0.0/255.0.0.0'],
    ['X-CSTP-Tunnel-All-DNS', 'false'],
    ['X-CSTP-Keepalive', '32400'],
    ['X-CSTP-Idle-Timeout', 'none'],
    ['X-CSTP-Rekey-Time', '172800'],
    ['X-CSTP-Rekey-Method', dice.pick(['ssl', 'new-tunnel', 'none'])],
    ['X-CSTP-Session-Timeout', '0'],
    ['X-CSTP-Base-MTU', '1500'],
    ['X-CSTP-MTU', '1400'],
    ['X-CSTP-Banner', 'Hello'],
  ];
  if (hasIpv6) headers.push(['X-CSTP-Address-IP6', 'fd00:1::2/64'], ['X-CSTP-Split-Include-IP6', 'fd00::/16']);
  const encoding = dice.pickOf((headerValue(wanted.headers, 'X-CSTP-Accept-Encoding') ?? '').split(',').filter((name) => name !== ''));
  if (encoding !== undefined && dice.oneIn(2)) headers.push(['X-CSTP-Content-Encoding', encoding]);
  if (headerValue(wanted.headers, 'X-DTLS-Master-Secret') !== undefined && udpPort > 0) headers.push(...datagramHeaders(dice, udpPort));
  return headers;
}

/** Which of the three kinds of association the headers ask for. */
function datagramHeaders(dice: Dice, port: number): [string, string][] {
  const common: [string, string][] = [
    ['X-DTLS-Port', String(port)],
    ['X-DTLS-DPD', dice.pick(['90', '5'])],
    ['X-DTLS-Keepalive', '32400'],
    ['X-DTLS-Rekey-Time', dice.pick(['172810', '20'])],
    ['X-DTLS-Rekey-Method', dice.pick(['ssl', 'new-tunnel'])],
  ];
  const id = toHex(APP_ID);
  switch (dice.below(4)) {
    case 0:
      return [...common, ['X-DTLS-Session-ID', id], ['X-DTLS-MTU', '1390'], ['X-DTLS-CipherSuite', 'AES256-SHA']];
    case 1:
      return [...common, ['X-DTLS-Session-ID', id], ['X-DTLS-MTU', '1390'], ['X-DTLS12-CipherSuite', 'AES256-GCM-SHA384']];
    default:
      return [...common, ['X-DTLS-App-ID', id], ['X-DTLS-CipherSuite', 'PSK-NEGOTIATE']];
  }
}

export function granted(headers: HttpHeaders): HttpResponse {
  return { version: '1.1', status: 200, reason: 'CONNECTED', headers, body: new Uint8Array(0) };
}

/** A page of any kind. */
export function page(text: string, status = 200, headers: HttpHeaders = []): HttpResponse {
  const body = utf8(text);
  return { version: '1.1', status, reason: 'OK', headers: [['Content-Length', String(body.length)], ...headers], body };
}

/** A document of a log-in around these children. */
export function document(children: string, headers: HttpHeaders = []): HttpResponse {
  return page(`${XML}<config-auth client="vpn" type="auth-request"><version who="sg">0.1(1)</version>${children}</config-auth>\n`, 200, [
    ['Content-Type', 'text/xml'],
    ...headers,
  ]);
}
