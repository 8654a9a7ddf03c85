/** TCP handshakes, segment by segment: RFC 9293 §3.5, §3.7.1, §3.10.7.1 to .3; RFC 7323 §2, §3; RFC 2018 §2; RFC 6298 §5.7; RFC 6528. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PacketScript } from './packet-script.ts';

describe('RFC 9293, handshake', () => {
  for (const family of [4, 6] as const) {
    it(`§3.5: answers SYN with SYN-ACK, and is made by the ACK (IPv${family})`, () => {
      const script = new PacketScript({ family });
      const listener = script.listen();
      script.send('S', { seq: 0, mss: 1460 });
      script.expect('SA', { seq: 0, ack: 1, mss: family === 4 ? 1460 : 1440 });
      assert.equal(listener.accept(), undefined);
      script.send('A', { seq: 1, ack: 1 });
      assert.equal(listener.accept()?.state, 'established');
    });

    it(`§3.5: connects by SYN and acknowledges the SYN-ACK (IPv${family})`, () => {
      const script = new PacketScript({ family });
      const client = script.connect();
      script.expect('S', { seq: 0 });
      assert.equal(client.state, 'syn-sent');
      script.send('SA', { seq: 0, ack: 1, mss: 1460 });
      script.expect('A', { seq: 1, ack: 1, len: 0 });
      assert.equal(client.state, 'established');
    });
  }

  it('§3.5, figure 7: both call at once, and one connection comes of it', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S', { seq: 0 });
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA', { seq: 0, ack: 1 });
    assert.equal(client.state, 'syn-received');
    script.send('SA', { seq: 0, ack: 1, mss: 1460 });
    assert.equal(client.state, 'established');
  });

  it('§3.5.2, group 1: resets a SYN to a port that nobody has, with the acknowledgement that fits it', () => {
    const script = new PacketScript();
    script.send('S', { seq: 0 });
    script.expect('RA', { ack: 1 });
  });

  it('§3.5.2, group 1: resets an ACK to a port that nobody has, with the sequence number that it expects', () => {
    const script = new PacketScript();
    script.send('A', { seq: 5, ack: 77 });
    assert.equal(script.expect('R').seq, 0); // relative to itself: no SYN of ours was seen
  });

  it('§3.5.2: never answers a reset with a reset', () => {
    const script = new PacketScript();
    script.send('R', { seq: 5 });
    script.send('RA', { seq: 5, ack: 5 });
    script.silence();
  });

  it('§3.10.7.2: resets an ACK that comes to a listener, and makes nothing of it', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('A', { seq: 1, ack: 1 });
    script.expect('R');
    script.send('SA', { seq: 1, ack: 1 });
    script.expect('R');
    assert.equal(listener.accept(), undefined);
    assert.equal(script.stack.connections, 0);
  });

  it('§3.10.7.2: ignores a reset and a segment without flags that come to a listener', () => {
    const script = new PacketScript();
    script.listen();
    script.send('R', { seq: 1 });
    script.send('', { seq: 1, len: 10 });
    script.send('F', { seq: 1 });
    script.silence();
    assert.equal(script.stack.connections, 0);
  });

  it('§3.10.7.3: resets a SYN-ACK that acknowledges what was never sent, and goes on trying', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    script.send('SA', { seq: 0, ack: 999 });
    script.expect('R', { seq: 999 });
    assert.equal(client.state, 'syn-sent');
  });

  it('§3.10.7.3: is refused by a reset that acknowledges its SYN', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    script.send('RA', { seq: 0, ack: 1 });
    assert.deepEqual([client.state, client.error], ['closed', 'refused']);
    script.silence();
  });

  it('§3.10.7.3: ignores a reset that does not acknowledge its SYN', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    script.send('R', { seq: 0 });
    script.send('RA', { seq: 0, ack: 0 });
    assert.equal(client.state, 'syn-sent');
    script.silence();
  });

  it('§3.10.7.3: drops segments with neither SYN nor RST', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    script.send('A', { seq: 1, ack: 1, len: 10 });
    assert.equal(client.state, 'syn-sent');
    script.silence();
  });

  it('§3.10.7.3: takes data that comes with the SYN-ACK', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    script.send('SA', { seq: 0, ack: 1, len: 5, mss: 1460 });
    script.expect('A', { ack: 1 + 5 - 0 });
    assert.equal(client.readable, 5);
  });

  it('§3.10.7.4: sends SYN-ACK again when the SYN comes again', () => {
    const script = new PacketScript();
    script.listen();
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA', { seq: 0, ack: 1 });
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA', { seq: 0, ack: 1 });
  });

  it('§3.10.7.4: resets an ACK of the handshake that acknowledges something else', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA');
    script.send('A', { seq: 1, ack: 500 });
    script.expect('R', { seq: 500 });
    assert.equal(listener.accept(), undefined);
  });

  it('§3.10.7.4: forgets a half-open connection when it is reset', () => {
    const script = new PacketScript();
    script.listen();
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA');
    script.send('R', { seq: 1 });
    assert.equal(script.stack.connections, 0);
  });

  it('§3.10.7.4: takes data and FIN that come with the ACK of the handshake', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA');
    script.send('FA', { seq: 1, ack: 1, len: 20 });
    script.expect('A', { ack: 22 });
    const server = listener.accept();
    assert.deepEqual([server?.readable, server?.state], [20, 'close-wait']);
  });

  it('§3.7.1: without an MSS option sends no more than 536 bytes', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('S', { seq: 0 });
    script.expect('SA');
    script.send('A', { seq: 1, ack: 1 });
    const server = listener.accept();
    assert.ok(server);
    script.write(server, 2_000);
    assert.deepEqual(
      script.take().map(({ len }) => len),
      [536, 536, 536, 392],
    );
  });

  it('§3.7.1: without an MSS option sends no more than 1220 bytes over IPv6', () => {
    const script = new PacketScript({ family: 6 });
    const listener = script.listen();
    script.send('S', { seq: 0 });
    script.expect('SA');
    script.send('A', { seq: 1, ack: 1 });
    const server = listener.accept();
    assert.ok(server);
    script.write(server, 1_221);
    assert.deepEqual(
      script.take().map(({ len }) => len),
      [1_220, 1],
    );
  });

  it('§3.7.1: sends no more than the peer’s MSS, and never more than the link takes', () => {
    for (const [mss, full] of [
      [1_000, 1_000],
      [9_000, 1_460],
    ] as const) {
      const script = new PacketScript();
      const server = script.accepted({ mss });
      script.write(server, full + 1);
      assert.deepEqual(
        script.take().map(({ len }) => len),
        [full, 1],
      );
    }
  });

  it('§3.8.3: sends a SYN again after 1, 3, 7, 15 s, and gives up in the end', () => {
    const script = new PacketScript();
    const client = script.connect();
    const times = [script.expect('S').at];
    script.wait(300_000);
    times.push(...script.take().map(({ at }) => at));
    assert.deepEqual(times.map((at) => (at - (times[0] as number)) / 1_000).slice(0, 5), [0, 1, 3, 7, 15]);
    assert.deepEqual([client.state, client.error], ['closed', 'timed-out']);
  });

  it('sends a SYN-ACK again and forgets a peer that never answers', () => {
    const script = new PacketScript();
    script.listen();
    script.send('S', { seq: 0, mss: 1460 });
    script.wait(120_000);
    assert.equal(script.take().length, 6);
    assert.equal(script.stack.connections, 0);
  });

  it('gives an attempt up when its user says so', () => {
    const script = new PacketScript();
    const client = script.connect();
    client.giveUpAt(script.clock.now + 500);
    script.wait(500);
    assert.deepEqual([client.state, client.error], ['closed', 'timed-out']);
  });

  it('drops SYNs beyond the backlog, and takes them when there is room again', () => {
    const script = new PacketScript();
    const listener = script.listen(1);
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA');
    script.from(5_000).send('S', { seq: 0, mss: 1460 });
    script.silence();
    assert.equal(script.stack.counters.dropped['backlog-full'], 1);
    script.from(4_000).send('A', { seq: 1, ack: 1 });
    assert.ok(listener.accept());
    script.from(5_000).send('S', { seq: 0, mss: 1460 });
    script.expect('SA');
  });
});

describe('RFC 7323 and 2018, options of the handshake', () => {
  it('RFC 7323 §2.2, §3.2; RFC 2018 §2: offers window scale, timestamps and SACK', () => {
    const script = new PacketScript();
    script.connect();
    const syn = script.expect('S', { mss: 1460, sackPermitted: true, hasTimestamps: true });
    assert.ok(syn.scale > 0);
  });

  it('RFC 7323 §1.3: answers with no option that the SYN has not', () => {
    const script = new PacketScript();
    script.listen();
    script.send('S', { seq: 0, mss: 1460 });
    script.expect('SA', { scale: -1, sackPermitted: false, hasTimestamps: false, mss: 1460 });
  });

  it('RFC 7323 §3.2: echoes the SYN’s timestamp', () => {
    const script = new PacketScript();
    script.listen();
    script.send('S', { seq: 0, mss: 1460, ts: [4_711, 0] });
    script.expect('SA', { hasTimestamps: true, ecr: 4_711 });
  });

  it('RFC 7323 §2.2: never scales the window of a SYN', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('S', { seq: 0, mss: 1460, scale: 14, win: 100 });
    const { scale, win } = script.expect('SA');
    assert.ok(scale > 0 && win === 65_535);
    script.send('A', { seq: 1, ack: 1, win: 1 }); // 16384
    const server = listener.accept();
    assert.ok(server);
    script.write(server, 20_000);
    const sent = script.take().reduce((sum, { len }) => sum + len, 0);
    assert.ok(sent <= 16_384 && sent > 10_000, `${sent}`);
  });

  it('RFC 7323 §2.3: takes a scale above 14 for 14', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('S', { seq: 0, mss: 1460, scale: 200 });
    script.expect('SA');
    script.send('A', { seq: 1, ack: 1, win: 1 });
    assert.equal(listener.accept()?.statistics().peerWindow, 1 << 14);
  });

  it('RFC 9293 §3.1: skips options that it does not know, and stops at one whose length cannot be', () => {
    const script = new PacketScript();
    script.listen();
    script.send('S', { seq: 0, raw: [254, 4, 1, 2, 2, 4, 4, 0] });
    script.expect('SA');
    script.from(4_001).send('S', { seq: 0, raw: [254, 0, 1, 2, 2, 4, 4, 0] });
    script.expect('SA');
    script.from(4_002).send('S', { seq: 0, raw: [2, 40, 4, 0] });
    script.expect('SA');
  });

  it('RFC 6298 §5.7: starts with a timeout of 3 s when its SYN was lost', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    script.wait(1_000);
    script.expect('S');
    script.send('SA', { seq: 0, ack: 1, mss: 1460 });
    script.expect('A');
    script.write(client, 100);
    const { at } = script.expect('A', { seq: 1, len: 100 });
    script.silence(2_999);
    script.wait(2);
    assert.equal(script.expect('A', { seq: 1, len: 100 }).at - at, 3_000);
  });

  it('RFC 6528 §3: numbers connections by a clock of 4 µs for the same ends, and by a secret for others', () => {
    const numberAfter = (time: number, port: number) => {
      const script = new PacketScript();
      script.wait(time);
      script.listen();
      script.send('S', { seq: 0, port });
      return script.expect('SA').rawSeq;
    };
    assert.equal((numberAfter(1_000, 4_000) - numberAfter(0, 4_000)) | 0, 250_000);
    const others = [4_001, 4_002, 4_003].map((port) => Math.abs((numberAfter(0, port) - numberAfter(0, port - 1)) | 0));
    assert.ok(
      others.every((difference) => difference > 100_000),
      String(others),
    );
  });
});
