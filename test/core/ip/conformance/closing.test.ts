/** How TCP connections end, segment by segment: RFC 9293 §3.6, §3.10.4, §3.10.5, §3.10.7.4; RFC 5961; RFC 1337; RFC 6191. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PacketScript } from './packet-script.ts';

const MSS = { mss: 1460 };

describe('RFC 9293, ends of connections', () => {
  it('§3.6, case 1: ends its side by FIN, and waits in FIN-WAIT-2 for the peer', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA', { seq: 1, ack: 1 });
    assert.equal(server.state, 'fin-wait-1');
    script.send('A', { seq: 1, ack: 2 });
    assert.equal(server.state, 'fin-wait-2');
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A', { seq: 2, ack: 2 });
    assert.equal(server.state, 'time-wait');
  });

  it('§3.6, case 2: the peer ends its side first', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('FA', { seq: 1, ack: 1 });
    script.expect('A', { ack: 2 });
    assert.deepEqual([server.state, server.hasEnded], ['close-wait', true]);
    server.end();
    script.expect('FA', { seq: 1, ack: 2 });
    assert.equal(server.state, 'last-ack');
    script.send('A', { seq: 2, ack: 2 });
    assert.deepEqual([server.state, server.error, script.stack.connections], ['closed', undefined, 0]);
  });

  it('§3.6, case 3: both end at once and meet in CLOSING', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA', { seq: 1 });
    script.send('FA', { seq: 1, ack: 1 });
    script.expect('A', { seq: 2, ack: 2 });
    assert.equal(server.state, 'closing');
    script.send('A', { seq: 2, ack: 2 });
    assert.equal(server.state, 'time-wait');
  });

  it('§3.10.7.4: goes to TIME-WAIT at once if the FIN acknowledges its own', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A', { ack: 2 });
    assert.equal(server.state, 'time-wait');
  });

  it('§3.6: still sends when the peer has ended its side', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('FA', { seq: 1, ack: 1 });
    script.expect('A');
    script.write(server, 500);
    script.expect('A', { seq: 1, ack: 2, len: 500 });
  });

  it('§3.6: still receives when it has ended its own side', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('A', { seq: 1, ack: 2, len: 700 });
    script.expect('A', { ack: 701 });
    assert.equal(script.read(server, 1), 700);
  });

  it('§3.10.4: sends FIN behind everything that was written', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 1_460);
    server.end();
    script.expect('A', { seq: 1, len: 1_460 });
    script.expect('FA', { seq: 1_461, len: 0 });
  });

  it('§3.10.4: sends FIN with the last data where it fits', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.write(new Uint8Array(100));
    server.end();
    script.expect('FA', { seq: 1, len: 100 });
  });

  it('§3.10.7.4: takes a FIN only when everything before it has come', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('FA', { seq: 101, ack: 1, len: 50 });
    script.expect('A', { ack: 1 });
    assert.equal(server.hasEnded, false);
    script.send('A', { seq: 1, ack: 1, len: 100 });
    script.expect('A', { ack: 152 });
    assert.equal(script.read(server, 1), 150);
    assert.equal(server.hasEnded, true);
  });

  it('§3.10.7.4: ignores data behind a FIN', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('FA', { seq: 1, ack: 1, len: 10 });
    script.expect('A', { ack: 12 });
    script.send('A', { seq: 12, ack: 1, len: 10 });
    script.take();
    assert.equal(script.read(server, 1), 10);
    assert.deepEqual([server.hasEnded, server.state], [true, 'close-wait']);
  });

  it('§3.8.1: sends its FIN again until it is acknowledged', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA', { seq: 1 });
    script.wait(1_500);
    const again = script.take();
    assert.ok(again.length > 0 && again.every(({ flags, seq }) => flags.includes('F') && seq === 1));
    script.send('A', { seq: 1, ack: 2 });
    assert.equal(server.state, 'fin-wait-2');
    script.silence(10_000);
  });

  it('§3.6.1: TIME-WAIT lasts twice the lifetime of a segment', () => {
    const script = new PacketScript({ tcp: { maxSegmentLifetime: 5_000 } });
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A');
    script.silence(9_999);
    assert.equal(script.stack.connections, 1);
    script.silence(1);
    assert.equal(script.stack.connections, 0);
  });

  it('§3.10.7.4: acknowledges a FIN that comes again in TIME-WAIT, and waits anew', () => {
    const script = new PacketScript({ tcp: { maxSegmentLifetime: 5_000 } });
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A');
    script.wait(8_000);
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A', { seq: 2, ack: 2 });
    script.silence(8_000);
    assert.equal(server.state, 'time-wait');
  });

  it('§3.10.4: a user who leaves while nothing waits to be read ends in order', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.close();
    script.expect('FA', { seq: 1 });
  });

  it('RFC 1122 §4.2.2.13: a user who leaves with data unread resets', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 1, len: 10 });
    script.take();
    server.close();
    script.expect('RA', { seq: 1 });
    assert.equal(script.stack.connections, 0);
  });

  it('§3.6.1: data for a user who has left is answered by a reset', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.close();
    script.expect('FA');
    script.send('A', { seq: 1, ack: 2, len: 10 });
    script.expect('RA');
    assert.equal(script.stack.connections, 0);
  });

  it('does not wait for ever in FIN-WAIT-2 for a user who has left', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.close();
    script.expect('FA');
    script.send('A', { seq: 1, ack: 2 });
    script.silence(60_000);
    assert.equal(script.stack.connections, 0);
  });

  it('waits in FIN-WAIT-2 for a user who still reads', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('A', { seq: 1, ack: 2 });
    script.silence(3_600_000);
    assert.equal(server.state, 'fin-wait-2');
  });

  it('§3.10.5: aborts by a reset with the next sequence number, and throws away what waits', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.write(server, 100);
    script.expect('A', { len: 100 });
    server.abort();
    script.expect('RA', { seq: 101 });
    script.silence(60_000);
    assert.equal(script.stack.connections, 0);
  });

  it('§3.10.4: a user who leaves before the answer to its SYN leaves nothing', () => {
    const script = new PacketScript();
    const client = script.connect();
    script.expect('S');
    client.close();
    script.silence(10_000);
    assert.equal(script.stack.connections, 0);
    script.send('SA', { seq: 0, ack: 1 });
    script.expect('R', { seq: 1 });
  });

  it('gives the memory back of what nobody has read when its connection has ended in order', () => {
    const script = new PacketScript({ limits: { receiveMemory: 2_000 } });
    for (let port = 4_000; port < 4_020; port++) {
      const listener = script.from(port).listen();
      script.send('S', { seq: 0, ...MSS });
      script.expect('SA');
      script.send('A', { seq: 1, ack: 1 });
      const server = listener.accept();
      assert.ok(server);
      script.send('FA', { seq: 1, ack: 1, len: 1_000 });
      script.take();
      server.end();
      script.expect('FA', { seq: 1 });
      script.send('A', { seq: 1_002, ack: 2 });
      assert.deepEqual([server.state, server.readable], ['closed', 1_000]);
      server.close();
      listener.close();
    }
    assert.equal(script.stack.counters.dropped['memory-limit'], 0);
  });

  it('closes a listener with everything that nobody has taken', () => {
    const script = new PacketScript();
    const listener = script.listen();
    script.send('S', { seq: 0, ...MSS });
    script.expect('SA');
    script.send('A', { seq: 1, ack: 1 });
    listener.close();
    script.expect('RA');
    script.from(4_001).send('S', { seq: 0 });
    script.expect('RA', { ack: 1 });
    assert.equal(script.stack.connections, 0);
  });
});

describe('RFC 5961, RFC 1337, RFC 6191: ends that somebody else wants', () => {
  it('RFC 5961 §3.2: takes a reset only with the very next sequence number', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('R', { seq: 1 });
    assert.deepEqual([server.state, server.error], ['closed', 'reset']);
    script.silence();
  });

  it('RFC 5961 §3.2: challenges a reset elsewhere in the window', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('R', { seq: 2 });
    script.expect('A', { seq: 1, ack: 1, len: 0 });
    assert.equal(server.state, 'established');
  });

  it('RFC 5961 §3.2: ignores a reset outside the window', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    for (const seq of [0, -5, 300_000, 1_000_000]) script.send('R', { seq });
    script.silence();
    assert.equal(server.state, 'established');
  });

  it('RFC 5961 §4.2: challenges a SYN in a connection that is made, in the window or not', () => {
    for (const seq of [0, 1, 500, 2_000_000]) {
      const script = new PacketScript();
      const server = script.accepted(MSS);
      script.send('S', { seq });
      script.expect('A', { seq: 1, ack: 1, len: 0 });
      assert.equal(server.state, 'established');
    }
  });

  it('RFC 5961 §5.2: challenges an acknowledgement of what was never sent', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 2, len: 10 });
    script.expect('A', { seq: 1, ack: 1 });
    assert.equal(server.readable, 0);
  });

  it('RFC 5961 §5.2: challenges an acknowledgement that is older than the largest window', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: -70_000, len: 10 });
    script.expect('A', { seq: 1, ack: 1 });
    assert.equal(server.readable, 0);
  });

  it('RFC 5961 §5.2: takes the data of a segment whose acknowledgement is old, but not that old', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('A', { seq: 1, ack: 0, len: 10 });
    script.take();
    assert.equal(server.readable, 10);
  });

  it('RFC 5961 §7: does not challenge one connection again and again', () => {
    const script = new PacketScript();
    script.accepted(MSS);
    for (let i = 0; i < 100; i++) script.send('R', { seq: 100 + i });
    assert.equal(script.take().length, 1);
    assert.equal(script.stack.counters.dropped['rate-limit'], 99);
    script.wait(1_000);
    script.send('R', { seq: 100 });
    script.expect('A');
  });

  it('RFC 5961 §7: does not reset strangers without end', () => {
    const script = new PacketScript({ limits: { repliesPerSecond: 10 } });
    for (let port = 1_000; port < 1_100; port++) script.send('S', { seq: 0, port });
    const resets = script.take().length;
    assert.ok(resets >= 10 && resets <= 11, `${resets}`);
    script.wait(1_000);
    script.send('S', { seq: 0 });
    script.expect('RA');
  });

  it('RFC 1337 §3: a reset does not end TIME-WAIT', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A');
    script.send('R', { seq: 2 });
    script.silence();
    assert.equal(server.state, 'time-wait');
  });

  it('RFC 6191 §2: a SYN with a newer timestamp ends TIME-WAIT and begins a connection', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2, ts: [102, 'echo'] });
    script.expect('A');
    script.send('S', { seq: 0, ...MSS, ts: [103, 0] });
    script.expect('SA');
    assert.equal(server.state, 'closed');
  });

  it('RFC 9293 §3.10.7.4: so does one with a sequence number beyond, without timestamps', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2 });
    script.expect('A');
    script.send('S', { seq: 500, ...MSS });
    script.expect('SA', { ack: 501 });
  });

  it('RFC 6191 §2: an old SYN does not', () => {
    const script = new PacketScript();
    const server = script.accepted({ ...MSS, ts: [100, 0] });
    server.end();
    script.expect('FA');
    script.send('FA', { seq: 1, ack: 2, ts: [102, 'echo'] });
    script.expect('A');
    script.send('S', { seq: 0, ...MSS, ts: [50, 0] });
    script.expect('A', { seq: 2, ack: 2 });
    assert.equal(server.state, 'time-wait');
  });

  it('RFC 9293 §3.10.7.4: in LAST-ACK and CLOSING a reset is an end like another', () => {
    const script = new PacketScript();
    const server = script.accepted(MSS);
    script.send('FA', { seq: 1, ack: 1 });
    script.expect('A');
    server.end();
    script.expect('FA');
    script.send('R', { seq: 2 });
    assert.deepEqual([server.state, server.error], ['closed', undefined]);
  });
});
