/** What the proxy offers besides connections: datagrams, forwarded ports, names, pages. On loopback, with the networks behind it in memory. */
import assert from 'node:assert/strict';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type ServerOpts, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { AUTHORITATIVE_ANSWER, decode, encode, type Packet, streamEncode } from 'dns-packet';
import { DnsForwarder } from '../../../src/client/proxy/dns-forwarder.ts';
import { Outward } from '../../../src/client/proxy/outward.ts';
import { renderPac } from '../../../src/client/proxy/pac.ts';
import { LocalForward, parsePortForward, RemoteForward } from '../../../src/client/proxy/port-forward.ts';
import { ProxyCounters } from '../../../src/client/proxy/proxy-counters.ts';
import { proxyPages } from '../../../src/client/proxy/proxy-pages.ts';
import { parseUserRule, RouteRules, type UserRule } from '../../../src/client/proxy/route-rules.ts';
import { MisuseError, NetworkError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { decodeDatagram, encodeDatagram, encodeRequest } from '../../../src/core/socks/socks5.ts';
import { parseCidr } from '../../../src/core/wire/ip-address.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import type { IpNetwork } from '../../../src/node/ip/ip-network.ts';
import { status } from '../../cli/sallyport/statuses.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { LoopbackNetwork } from './loopback-network.ts';
import { bytes, collected, HELLO5, NO_NETWORKS, over, ProxyScene } from './proxy-scene.ts';

function parts(rules: readonly UserRule[] = []) {
  const made = new RouteRules(rules, NO_NETWORKS);
  const networks = { vpn: new LoopbackNetwork(), direct: new LoopbackNetwork() };
  return { networks, outward: new Outward({ networks, rules: () => made }), counters: new ProxyCounters(), log: silentLogger };
}

async function udp(): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

describe('UDP by SOCKS 5', { timeout: HANG_LIMIT }, () => {
  async function associate(scene: ProxyScene): Promise<{ readonly control: Socket; readonly port: number }> {
    const control = await scene.dial();
    control.write(bytes(HELLO5, encodeRequest('udp-associate', { host: '0.0.0.0', port: 0 })));
    const [method] = (await once(control, 'data')) as [Buffer];
    const reply = method.length > 2 ? method.subarray(2) : ((await once(control, 'data')) as [Buffer])[0];
    assert.deepEqual([...reply.subarray(0, 8)], [5, 0, 0, 1, 127, 0, 0, 1]);
    return { control, port: reply.readUInt16BE(8) };
  }

  it('carries datagrams to names and addresses, and back from who was asked', async () => {
    await using scene = await ProxyScene.open();
    const far = await udp();
    far.on('message', (message, { port }) => far.send(`re: ${message}`, port, '127.0.0.1'));
    const { control, port } = await associate(scene);
    const client = await udp();
    for (const host of ['inside.test', '10.0.0.9']) {
      client.send(encodeDatagram({ host, port: far.address().port }, utf8('question')), port, '127.0.0.1');
      const [answer] = (await once(client, 'message')) as [Buffer];
      const { destination, payload } = decodeDatagram(answer) ?? assert.fail();
      assert.equal(Buffer.from(payload).toString(), 're: question');
      assert.deepEqual(destination, { host: host === 'inside.test' ? '10.0.0.1' : host, port: far.address().port });
    }
    assert.deepEqual(scene.proxy.counters.connections, [{ protocol: 'udp', way: 'vpn', count: 1 }]);
    control.destroy();
    client.close();
    far.close();
  });

  it('loses datagrams while the network is away, and goes on when it is back', async () => {
    await using scene = await ProxyScene.open();
    const far = await udp();
    const { control, port } = await associate(scene);
    const client = await udp();
    const send = (text: string) =>
      client.send(encodeDatagram({ host: '10.0.0.1', port: far.address().port }, utf8(text)), port, '127.0.0.1');
    const { failures } = scene.proxy.counters;
    const createDatagram = scene.vpn.createDatagram.bind(scene.vpn);
    const refused = Promise.withResolvers<void>();
    let refusals = 0;
    scene.vpn.createDatagram = () => {
      if (++refusals === 2) refused.resolve();
      throw new NetworkError('The VPN is not connected.', { code: 'ENETUNREACH' });
    };
    send('one'); // is looked up
    while (refusals < 1) await setImmediate();
    send('two'); // is known
    await refused.promise;
    scene.vpn.createDatagram = createDatagram;
    send('three');
    assert.equal(((await once(far, 'message')) as [Buffer])[0].toString(), 'three');
    assert.equal(failures.get('ENETUNREACH'), 2);
    control.destroy();
    for (const socket of [client, far]) socket.close();
  });

  it('takes no datagrams of others, and none that are broken or for the machine itself', async () => {
    await using scene = await ProxyScene.open();
    const far = await udp();
    const seen: string[] = [];
    far.on('message', (message) => seen.push(message.toString()));
    const { control, port } = await associate(scene);
    const [client, other] = [await udp(), await udp()];
    const send = (socket: UdpSocket, datagram: Uint8Array) => new Promise((resolve) => socket.send(datagram, port, '127.0.0.1', resolve));
    const to = (host: string, text: string) => encodeDatagram({ host, port: far.address().port }, utf8(text));
    await send(client, to('10.0.0.1', 'one'));
    await once(far, 'message');
    await send(other, to('10.0.0.1', 'not mine'));
    await send(client, Uint8Array.of(0, 0, 0, 1, 10));
    await send(client, to('127.0.0.1', 'home'));
    await send(client, to('nowhere.test', 'lost'));
    await send(client, to('10.0.0.1', 'two'));
    while (seen.length < 2) await once(far, 'message');
    assert.deepEqual(seen, ['one', 'two']);
    const reasons = scene.proxy.counters.failures;
    assert.deepEqual([reasons.get('bad-datagram'), reasons.get('EACCES'), reasons.get('ENOTFOUND')], [1, 1, 1]);
    control.destroy();
    for (const socket of [client, other, far]) socket.close();
  });
});

describe('a forwarded port', { timeout: HANG_LIMIT }, () => {
  it('is written as ssh writes it', () => {
    assert.deepEqual(parsePortForward('8080:web:80'), { bind: undefined, port: 8080, to: { host: 'web', port: 80 } });
    assert.deepEqual(parsePortForward('*:0:10.0.0.1:22'), { bind: '0.0.0.0', port: 0, to: { host: '10.0.0.1', port: 22 } });
    assert.deepEqual(parsePortForward(':1:a:2').bind, '0.0.0.0');
    assert.deepEqual(parsePortForward('localhost:1:a:2').bind, '127.0.0.1');
    assert.deepEqual(parsePortForward('[::1]:1:[fd00::2]:2'), { bind: '::1', port: 1, to: { host: 'fd00::2', port: 2 } });
    for (const text of [
      '',
      '80',
      '80:web',
      'web:80',
      '80:web:0',
      '99999:web:80',
      '80:web:99999',
      'no:80:web:80',
      '80:we b:80',
      '1:2:3:4:5',
    ]) {
      assert.throws(() => parsePortForward(text), MisuseError, text);
    }
  });

  it('leads to its destination, and breaks where that does not answer', async () => {
    await using scene = await ProxyScene.open();
    const made = parts();
    await using forward = await LocalForward.listen(
      { bind: undefined, port: 0, to: { host: 'inside.test', port: await scene.echo() } },
      made,
    );
    const socket = connect({ port: forward.address.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end('there and back');
    assert.equal(await collected(socket), 'there and back');
    await using dead = await LocalForward.listen({ bind: undefined, port: 0, to: { host: '10.0.0.1', port: 1 } }, made);
    const [error] = await once(connect(dead.address.port, '127.0.0.1'), 'error');
    assert.equal(error.code, 'ECONNRESET');
    assert.deepEqual([made.counters.connections[0]?.protocol, made.counters.failures.get('ECONNREFUSED')], ['forward', 1]);
    await assert.rejects(LocalForward.listen({ bind: undefined, port: forward.address.port, to: { host: 'x', port: 1 } }, made), {
      code: 'ERR_LISTEN',
    });
  });
});

describe('a port inside the VPN', { timeout: HANG_LIMIT }, () => {
  /** Inside is loopback: of the network only servers are asked for, and the system's take these options too. */
  function inside(): { readonly network: IpNetwork; readonly port: () => number } {
    let server = createServer();
    const network = {
      createServer(options: ServerOpts, onConnection: (socket: Socket) => void): Server {
        server = createServer(options, onConnection);
        return server;
      },
    } as unknown as IpNetwork;
    return { network, port: () => (server.address() as AddressInfo).port };
  }

  it('takes no more connections than it may, and ends those that it has', async () => {
    await using scene = await ProxyScene.open();
    const { network, port } = inside();
    const made = parts();
    const to = { host: '127.0.0.1', port: await scene.echo() };
    using forward = await RemoteForward.listen({ bind: '127.0.0.1', port: 0, to }, network, made, 2);
    const dial = () => connect({ port: port(), host: '127.0.0.1' }).on('error', () => undefined);
    const [one, two] = [dial(), dial()];
    for (const socket of [one, two]) {
      socket.write('x');
      await once(socket, 'data');
    }
    await over(dial());
    assert.equal(made.counters.dropped, 1);
    one.end();
    await over(one);
    const three = dial();
    three.write('y');
    assert.equal(String(await once(three, 'data')), 'y');
    forward.close();
    await Promise.all([over(two), over(three)]);
    assert.equal(made.counters.connections[0]?.count, 3);
  });
});

describe('the forwarder of names', { timeout: HANG_LIMIT }, () => {
  const question = (name: string): Packet => ({ type: 'query', id: 4711, flags: 0x100, questions: [{ type: 'A', name, class: 'IN' }] });

  function answerTo(query: Buffer): Buffer {
    const { id = 0, questions = [] } = decode(query);
    const name = questions[0]?.name ?? '';
    return encode({
      type: 'response',
      id,
      flags: AUTHORITATIVE_ANSWER,
      questions,
      answers: [{ type: 'A', name, ttl: 1, data: '10.0.0.7' }],
    });
  }

  it('asks by UDP with an id of its own, believes no forged answer, and gives back the answer as it is', async () => {
    const server = await udp();
    const made = parts();
    const ids: number[] = [];
    made.networks.vpn.port = server.address().port;
    server.on('message', (query, { port }) => {
      ids.push(query.readUInt16BE(0));
      const forged = answerTo(query);
      forged.writeUInt16BE(forged.readUInt16BE(0) ^ 1, 0);
      const other = answerTo(encode(question('other.test')));
      other.writeUInt16BE(query.readUInt16BE(0), 0);
      for (const answer of [forged, other, answerTo(query)]) server.send(answer, port, '127.0.0.1');
    });
    await using forwarder = await DnsForwarder.listen({ ...made, port: 0, servers: () => ['10.0.0.53'] });
    const client = await udp();
    for (let i = 0; i < 4; i++) {
      client.send(encode(question('web.test')), forwarder.address.port, '127.0.0.1');
      const [message] = (await once(client, 'message')) as [Buffer];
      const answer = decode(message);
      assert.equal(answer.id, 4711);
      assert.deepEqual(
        answer.answers?.map((record) => 'data' in record && record.data),
        ['10.0.0.7'],
      );
    }
    assert.ok(new Set(ids).size > 1, 'ids are chosen anew');
    client.close();
    server.close();
  });

  it('asks by TCP for clients that do, one question after the other', async () => {
    await using scene = await ProxyScene.open();
    const made = parts();
    made.networks.vpn.port = await scene.serve((socket) => {
      socket.once('data', (query) => {
        const answer = answerTo(query.subarray(2));
        socket.end(Buffer.concat([Buffer.of(answer.length >>> 8, answer.length & 0xff), answer]));
      });
    });
    await using forwarder = await DnsForwarder.listen({ ...made, port: 0, servers: () => ['10.0.0.53'] });
    const client = connect({ port: forwarder.address.port, host: '127.0.0.1', allowHalfOpen: true });
    client.end(Buffer.concat([streamEncode(question('a.test')), streamEncode(question('b.test'))]));
    const answers = Buffer.from(await collected(client), 'latin1');
    const first = answers.readUInt16BE(0);
    assert.equal(decode(answers.subarray(2, 2 + first)).questions?.[0]?.name, 'a.test');
    assert.equal(decode(answers.subarray(4 + first)).questions?.[0]?.name, 'b.test');
  });

  it('says that it could not find out when no server answers, and drops what is no question', async () => {
    const made = parts();
    await using forwarder = await DnsForwarder.listen({ ...made, port: 0, servers: () => [] });
    const client = await udp();
    for (const junk of ['', 'short', '\u0000'.repeat(12), `${'\u0000'.repeat(4)}\u0000\u0001${'\u0000'.repeat(6)}\u003fa`]) {
      client.send(Buffer.from(junk, 'latin1'), forwarder.address.port, '127.0.0.1');
    }
    client.send(encode(question('web.test')), forwarder.address.port, '127.0.0.1');
    const [message] = (await once(client, 'message')) as [Buffer];
    const answer = decode(message) as ReturnType<typeof decode> & { readonly rcode?: string };
    assert.deepEqual([answer.id, answer.rcode, answer.questions?.[0]?.name], [4711, 'SERVFAIL', 'web.test']);
    assert.equal(made.counters.failures.get('bad-dns-query'), 4);
    client.close();
  });

  it('asks the machine’s own servers for names outside, at their ports, but never itself', async () => {
    const server = await udp();
    server.on('message', (query, { port }) => server.send(answerTo(query), port, '127.0.0.1'));
    const made = parts([parseUserRule('direct', 'out.test')]);
    let own = 0;
    const systemServers = () => [`127.0.0.1:${own}`, `[2001:db8::1]:${server.address().port}`];
    await using forwarder = await DnsForwarder.listen({ ...made, port: 0, servers: () => ['10.0.0.53'], systemServers });
    own = forwarder.address.port;
    const client = await udp();
    client.send(encode(question('www.out.test')), own, '127.0.0.1');
    const [message] = (await once(client, 'message')) as [Buffer];
    assert.equal(decode(message).answers?.length, 1);
    assert.deepEqual(made.counters.connections, [{ protocol: 'dns', way: 'direct', count: 1 }]);
    client.close();
    server.close();
  });

  it('is for this machine only', async () => {
    await assert.rejects(DnsForwarder.listen({ ...parts(), address: '0.0.0.0', port: 0, servers: () => [] }), MisuseError);
  });
});

describe('the pages of the proxy', () => {
  const rules = new RouteRules([parseUserRule('direct', 'out.corp.test'), parseUserRule('vpn', 'corp.test')], {
    ...NO_NETWORKS,
    include: [parseCidr('10.0.0.0/8')].flatMap((network) => network ?? []),
  });

  it('tell browsers what goes through the proxy', () => {
    const text = renderPac(rules, '127.0.0.1:1080');
    const isInNet = (host: string, network: string, mask: string) => {
      const number = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
      return (
        BigInt(number(host)) % 2n ** 32n === BigInt(number(host)) && (number(host) & number(mask)) === (number(network) & number(mask))
      );
    };
    const find = (host: string): string => runInNewContext(`${text}\nFindProxyForURL('', ${JSON.stringify(host)})`, { isInNet });
    const proxy = 'PROXY 127.0.0.1:1080; SOCKS5 127.0.0.1:1080';
    assert.deepEqual(
      ['web.corp.test', 'a.out.corp.test', 'elsewhere.test', '10.1.2.3', '192.0.2.1', 'localhost', '127.0.0.1', '::1', 'CORP.TEST.'].map(
        find,
      ),
      [proxy, 'DIRECT', proxy, proxy, 'DIRECT', 'DIRECT', 'DIRECT', 'DIRECT', proxy],
    );
  });

  it('are health, metrics and that file, and nobody else’s web page can read them', async () => {
    const counters = new ProxyCounters();
    counters.connected('socks5', 'vpn');
    counters.failed('ECONNREFUSED');
    const up = status();
    const pages = proxyPages({ status: () => up, rules: () => rules, counters });
    assert.deepEqual(await pages('/healthz', '127.0.0.1:1080'), { status: 200, type: 'text/plain', body: 'up\n' });
    assert.equal((await pages('/healthz', 'localhost:1080'))?.status, 200);
    assert.equal((await pages('/healthz', 'vpn'))?.status, 200);
    assert.equal((await pages('/healthz', '[::1]:1080'))?.status, 200);
    assert.equal((await pages('/healthz', 'evil.example:1080'))?.status, 421);
    assert.equal((await pages('/healthz', undefined))?.status, 421);
    assert.equal(await pages('/', '127.0.0.1'), undefined);
    const lost = proxyPages({ status: () => ({ ...up, state: 'reconnecting' }), rules: () => rules, counters });
    assert.deepEqual(await lost('/healthz', '127.0.0.1'), { status: 503, type: 'text/plain', body: 'reconnecting\n' });
    const metrics = (await pages('/metrics', '127.0.0.1'))?.body ?? '';
    assert.match(metrics, /^sallyport_vpn_state\{state="up"\} 1$/m);
    assert.match(metrics, /^sallyport_proxy_connections_total\{protocol="socks5",way="vpn"\} 1$/m);
    assert.match(metrics, /^sallyport_proxy_failures_total\{reason="ECONNREFUSED"\} 1$/m);
  });
});
